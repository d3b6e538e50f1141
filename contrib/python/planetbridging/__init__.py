"""Move trained networks between frameworks and prove that the numbers stayed the same.

    import planetbridging

    graph = planetbridging.emit(model, example=x)       # the live object as a graph
    planetbridging.write(graph, open("m.stream", "wb")) # ... as a layer stream for loom-stream
    planetbridging.native(model, x)                     # {"y": the framework's own output}
    planetbridging.taps(model, x)                       # the same for every tensor of the graph
    planetbridging.check(model, x).label                # "EXACT", "PASS" or "DIFF"
    planetbridging.load(model, "m.safetensors")         # loom-export's weights, back in the module
    planetbridging.testing.assert_same(model, x)        # ... in a test
    planetbridging.absorb.pytorch(model, inputs=x)      # the checkpoint and its answers
    planetbridging.engines.stream("mha", "pytorch")     # one of our own networks, the whole way

`python -m planetbridging --help` has the same as commands.
"""

import importlib

__version__ = "1.0.0"

# Loaded when first used, so that `python -m planetbridging` can say what is not installed.
_HOMES = {"check": "api", "emit": "api", "native": "api", "load": "loading",
          "BridgeError": "graph", "BridgeWarning": "graph", "Graph": "graph", "MachineError": "graph",
          "Unsupported": "graph", "UsageError": "graph", "StreamDocument": "stream",
          "taps": "api", "write": "stream", "BEDROCK_IDS": "bedrocks",
          "BEDROCK_PLANETS": "bedrocks", "BEDROCKS": "bedrocks", "BedrockInfo": "bedrocks",
          "STREAM_MODEL_IDS": "bedrocks", "compare_outputs": "compare", "diff_label": "compare",
          "EngineStreamResult": "results", "LadderResult": "results", "StreamResult": "results",
          **{f"stream_{name}": "requests" for name in (
              "bedrock", "dense", "cnn1", "cnn2", "cnn3", "mha", "lstm", "rnn", "layernorm",
              "embedding", "rmsnorm", "swiglu", "residual", "mixer")}}
_MODULES = ("absorb", "engines", "testing")

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
