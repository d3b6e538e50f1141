"""`python -m planetbridging`."""

from .cli import run

run()
