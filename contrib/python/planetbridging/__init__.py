"""Move trained networks between frameworks and prove that the numbers stayed the same.

    import planetbridging

    graph = planetbridging.emit(model, example=x)       # the live object as a graph
    planetbridging.write(graph, open("m.stream", "wb")) # ... as a layer stream for loom-stream
    planetbridging.native(model, x)                     # {"y": the framework's own output}
    planetbridging.check(model, x).label                # "EXACT", "PASS" or "DIFF"

`python -m planetbridging --help` has the same as commands.
"""

from .api import check, emit, native
from .graph import BridgeError, BridgeWarning, Graph, MachineError, Unsupported, UsageError
from .stream import StreamDocument, write

__version__ = "1.0.0"

__all__ = ["BridgeError", "BridgeWarning", "Graph", "MachineError", "StreamDocument", "Unsupported",
           "UsageError", "check", "emit", "native", "write"]
