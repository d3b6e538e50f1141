"""What the examples share: the programs must be there, results are printed alike."""

from __future__ import annotations

import sys
from pathlib import Path

OK = ("PASS", "EXACT")


def _find_package() -> None:
    """In a checkout the package lies beside this folder, in a wheel around it."""
    here = Path(__file__).resolve().parent
    if (here.parent / "planetbridging").is_dir():
        sys.path.insert(0, str(here.parent))


_find_package()


def output_dir(*parts: str) -> Path:
    """./.planetbridging/examples/PARTS, made if it is not there."""
    path = Path.cwd().joinpath(".planetbridging", "examples", *parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def require_programs() -> str:
    """The loom-stream that will be used; ends with status 1 if there is none."""
    from planetbridging import MachineError, programs

    try:
        return programs.find("loom-stream")
    except MachineError as error:
        sys.exit(str(error))


def print_result(result, title: str = "") -> None:
    """An EngineStreamResult or LadderResult in a few lines."""
    print(f"\n{title or f'{result.bedrock} on {result.planet}'}")
    print(f"  model            {result.model_id}, {result.layer_count} layers")
    print(f"  checkpoint       {result.entity_path}")
    print(f"  native and loom  {result.native_vs_loom}")
    if result.welvet is not None:
        print(f"  native and Loom  {result.native_vs_welvet} (welvet)")
        print(f"  loom and Loom    {result.loom_vs_welvet} (welvet)")
    if result.welvet_note:
        print(f"  note             {result.welvet_note}")


def farthest(native, other) -> str:
    """The greatest difference, as "max 1.2e-07"."""
    from planetbridging import compare_outputs

    return f"max {compare_outputs(native, other)[0]:.1e}"
