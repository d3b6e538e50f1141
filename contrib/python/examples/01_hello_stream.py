#!/usr/bin/env python3
"""One network of one bedrock, from PyTorch into a checkpoint.

    python 01_hello_stream.py [BEDROCK]      (dense)

Exit status 0 only if PyTorch and Loom agree.
"""

import sys

from _helpers import OK, print_result, require_programs

require_programs()

from planetbridging import engines  # noqa: E402

bedrock = sys.argv[1] if len(sys.argv) > 1 else "dense"
result = engines.stream(bedrock, "pytorch")
print_result(result)
sys.exit(0 if result.native_vs_loom in OK else 1)
