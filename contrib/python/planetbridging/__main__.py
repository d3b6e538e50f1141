"""`python -m planetbridging`."""

import sys

try:
    from .cli import run
except ModuleNotFoundError as error:
    print(f"planetbridging: this Python has no {error.name}: pip install {error.name}",
          file=sys.stderr)
    sys.exit(4)

run()
