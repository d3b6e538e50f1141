#!/usr/bin/env python3
"""One bedrock on every framework that is installed.

    python 03_cross_engine.py [BEDROCK]      (layernorm)

Exit status 0 only if there is one, and all agree with Loom.
"""

import sys

from _helpers import OK, print_result, require_programs

require_programs()

from planetbridging import engines  # noqa: E402

bedrock = sys.argv[1] if len(sys.argv) > 1 else "layernorm"
planets = engines.installed_planets(bedrock)
if not planets:
    sys.exit(f"{bedrock} is for {', '.join(engines.available_planets(bedrock))}: none is installed")
print(f"{bedrock} on {', '.join(planets)}")
results = engines.stream_all_planets(bedrock)
for made in results:
    print_result(made)
sys.exit(0 if all(made.native_vs_loom in OK for made in results) else 1)
