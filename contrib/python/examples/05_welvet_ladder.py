#!/usr/bin/env python3
"""Three answers side by side: the framework's, loom-infer's, and real Loom's (PyPI welvet).

    python 05_welvet_ladder.py [BEDROCK...]      (all but residual and mixer)

A real Loom runs layers one after another, so it has no skip: residual and mixer are not for it.
Exit status 1 without welvet, or if loom-infer disagrees; of real Loom's answers it only tells.
"""

import sys

from _helpers import OK, farthest, print_result, require_programs

require_programs()

from planetbridging import BEDROCK_IDS, engines, witness  # noqa: E402

missing = witness.missing()
if missing:
    sys.exit(f"{missing}: pip install welvet")
bedrocks = sys.argv[1:] or [name for name in BEDROCK_IDS if name not in ("residual", "mixer")]
good = 0
for bedrock in bedrocks:
    made = engines.ladder(bedrock, "pytorch")
    print_result(made)
    print(f"  distances        loom {farthest(made.native, made.loom_stream)}"
          + (f", Loom {farthest(made.native, made.welvet)}" if made.welvet is not None else ""))
    good += made.native_vs_loom in OK
sys.exit(0 if good == len(bedrocks) else 1)
