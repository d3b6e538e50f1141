"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass

from ..stream import StreamDocument


@dataclass
class Fault:
    """One mistake: what was changed in `document`, or (None) why it cannot change the function."""

    name: str
    what: str
    document: StreamDocument | None = None
