#!/usr/bin/env python3
"""All thirteen bedrocks from PyTorch; no tolerance is widened for any of them.

    python 02_all_layer_types.py

Exit status 0 only if all thirteen agree.
"""

import sys

from _helpers import OK, farthest, require_programs

require_programs()

from planetbridging import engines  # noqa: E402

results = engines.stream_all_bedrocks("pytorch")
for made in results:
    away = farthest(made.native, made.loom_stream) if made.native.size else made.welvet_note
    print(f"{made.bedrock:<10} {made.layer_count:>2} layers  {made.native_vs_loom:<5}  {away}")
good = sum(made.native_vs_loom in OK for made in results)
print(f"{good} of {len(results)} agree")
sys.exit(0 if good == len(results) == 13 else 1)
