"""Bedrocks: kinds of layer, each proved on every planet with networks trained there.

`dense.py` knows the facts of the dense bedrock and makes its fixture, `training.py` builds and
trains one of its models with each framework's own layers and optimiser, `faults.py` plants known
mistakes in a stream, `tables.py` joins the verdicts.  `python -m planetbridging.bedrock` is what the
Makefile calls.
"""
