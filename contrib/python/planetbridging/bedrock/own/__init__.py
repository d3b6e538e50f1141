"""Our own fixtures: networks of every kind whose numbers can fail.

`drawing` makes weights and inputs of unit scale from a written seed, `case` says what a fixture is,
`cases`, `sequences` and `mixers` hold them.  `speaking` lets a planet say what it is and computes,
`bounds` what binary32 explains of that, `planting` has the known mistakes by operation, `judging`
takes all through the programs, `tables` reads what came of it.  `python -m planetbridging.bedrock.own`
is what the Makefile calls.
"""
