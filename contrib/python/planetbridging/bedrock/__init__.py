"""Bedrocks: kinds of layer, each proved on every planet with networks of that planet's own layers.

`facts` and `fixture` know the models and make their inputs, `kinds` says what each network is and
draws its weights, `network` is the form in which all planets are told it and `build_*` make live
objects of it.  `training` and `trained` train where the facts say so and keep the weights; `living`
writes what a live network is and answers, `oracle` what NumPy says.  The Makefile takes these files
through the programs; `faults` plants known mistakes in a stream, `verdicts`, `tables` and `score` read
the reports.  `python -m planetbridging.bedrock` is what the Makefile calls.
"""
