"""The ladder: native in float64, loom-infer, real Loom on the plain and on the lowered file.

`losses` knows what entity-dump says an unmodified Loom gets wrong, and cuts just that out of a network;
`rungs` climbs: it runs everything for one network; `tables` prints and judges.  `python -m
planetbridging ladder` is for any network, `python -m planetbridging.ladder` for the bedrocks.
"""

from .rungs import SAMPLES, Row, climb, climb_graph

__all__ = ["SAMPLES", "Row", "climb", "climb_graph"]
