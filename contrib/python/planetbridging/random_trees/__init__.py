"""Random module trees, from a written seed, on the whole path at two batches and lengths.

`spec` says what a tree is, `parts` what its steps may be, `growing` makes one from a seed; the
`build_` modules make it a live network of a planet, and `run` judges it.
"""
