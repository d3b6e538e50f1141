"""Bedrocks on live planets: a framework's own layers, streamed, run by Loom, compared.

    from planetbridging import engines
    result = engines.stream("mha", "pytorch")
    print(result.native_vs_loom, result.entity_path)

The calls, arguments and results are those of openfluke/planetbridging 0.7.3.  The weights of dense and
cnn networks were trained on the planet that they are for and come with the package; nothing is trained
here, and nothing is written but the checkpoint.  Calls may be made from several threads: frameworks
have settings for the whole process (Keras its float type, PyTorch its generator), so one network at a
time is made and asked, and the generators are left as they were.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from . import asking, clash, running, speaking
from .bedrock import facts as fact
from .bedrocks import BEDROCK_IDS, BEDROCK_PLANETS, STREAM_MODEL_IDS
from .compare import label
from .results import EngineStreamResult, LadderResult
from .speaking import NUMPY, Spoken

__all__ = ["EngineStreamResult", "LadderResult", "available_planets", "installed_planets", "ladder",
           "stream", "stream_all_bedrocks", "stream_all_planets"]

PACKAGES = {"pytorch": ("torch",), "tensorflow": ("tensorflow", "keras"), "jax": ("jax", "flax"),
            "sklearn": ("sklearn",)}
"""What a planet needs, by import name."""

INSTALL = {"pytorch": "torch", "tensorflow": "tensorflow", "jax": "jax flax",
           "sklearn": "scikit-learn"}


def available_planets(bedrock: str) -> tuple[str, ...]:
    """The planets that a bedrock is for; ValueError if there is no such bedrock."""
    name = bedrock.lower()
    if name not in BEDROCK_PLANETS:
        raise ValueError(f"unknown bedrock {bedrock!r}: expected one of {', '.join(BEDROCK_IDS)}")
    return BEDROCK_PLANETS[name]


def installed_planets(bedrock: str | None = None) -> tuple[str, ...]:
    """The planets, of one bedrock or of all, whose framework can be imported; none is."""
    wanted = available_planets(bedrock) if bedrock else tuple(PACKAGES)
    return tuple(planet for planet in wanted if not _missing(planet))


def stream(bedrock: str, planet: str, *, model_id: str | None = None,
           root: str | os.PathLike | None = None, binary: str | os.PathLike | None = None,
           out_dir: str | os.PathLike | None = None, try_welvet: bool = False,
           max_samples: int = 5) -> EngineStreamResult:
    """Stream one of a bedrock's networks from its planet and compare the checkpoint's answers.

    The checkpoint is OUT_DIR/MODEL_ID.entity; `out_dir` is by default
    ROOT/.planetbridging/stream/BEDROCK/PLANET, and `root` the current folder.  `binary` is the
    loom-stream to use.  With `try_welvet` real Loom is asked for the first `max_samples` samples.

    Arrays are float64 [100, D]: `EngineStreamResult` says more.  A label is by an absolute difference of
    1e-5, so a network whose answers are smaller (mixer_all_v1) has PASS whatever it computes.

    ValueError for an unknown bedrock or planet, ImportError if the framework is not installed, KeyError
    for an unknown model, RuntimeError with a program's message if it refuses, FileNotFoundError if
    there is none.
    """
    bedrock, planet = _known(bedrock, planet)
    facts, model = _model(bedrock, model_id)
    _importable(planet)
    clash.refuse()
    spoken = speaking.live(planet, facts, model)
    return _streamed(bedrock, planet, spoken, _place(root, out_dir, bedrock, planet), binary,
                     max_samples if try_welvet else 0)


def stream_all_bedrocks(planet: str, *, root: str | os.PathLike | None = None,
                        binary: str | os.PathLike | None = None,
                        try_welvet: bool = False) -> list[EngineStreamResult]:
    """`stream` for the default model of every bedrock that is for `planet`, in their order.

    A bedrock that fails becomes a result with the label ERROR, its message in `entity_path` and
    `welvet_note`, and arrays [0, 0].  ValueError for an unknown planet, ImportError if its framework
    is not installed.
    """
    planet = planet.lower()
    if planet not in PACKAGES:
        raise ValueError(f"unknown planet {planet!r}: expected one of {', '.join(PACKAGES)}")
    _importable(planet)
    return [_or_error(name, planet, None, root=root, binary=binary, try_welvet=try_welvet)
            for name in BEDROCK_IDS if planet in BEDROCK_PLANETS[name]]


def stream_all_planets(bedrock: str, *, root: str | os.PathLike | None = None,
                       binary: str | os.PathLike | None = None, model_id: str | None = None,
                       try_welvet: bool = False) -> list[EngineStreamResult]:
    """`stream` on every installed planet of a bedrock; one that fails is an ERROR, as above."""
    return [_or_error(bedrock.lower(), planet, model_id, root=root, binary=binary,
                      try_welvet=try_welvet) for planet in installed_planets(bedrock)]


def ladder(bedrock: str, planet: str = NUMPY, *, root: str | os.PathLike | None = None,
           model_id: str | None = None, binary: str | os.PathLike | None = None,
           out_dir: str | os.PathLike | None = None, max_samples: int = 5,
           try_welvet: bool = True) -> LadderResult:
    """Native, loom-infer and real Loom (welvet), side by side, for the first `max_samples` samples.

    Planet "numpy" needs no framework: its native side is our own float64 formulas.  Otherwise as
    `stream`.  Mended: `try_welvet` may be given for any planet (openfluke/planetbridging 0.7.3 raises
    TypeError).
    """
    if planet.lower() == NUMPY:
        facts, model = _model(_known(bedrock, None)[0], model_id)
        clash.refuse()
        made = _streamed(facts.kind, NUMPY, speaking.formulas(facts, model),
                         _place(root, out_dir, facts.kind, NUMPY), binary,
                         max_samples if try_welvet else 0)
    else:
        made = stream(bedrock, planet, model_id=model_id, root=root, binary=binary, out_dir=out_dir,
                      try_welvet=try_welvet, max_samples=max_samples)
    native, loom = made.native[:max_samples], made.loom_stream[:max_samples]
    note = made.welvet_note if try_welvet else "welvet was not asked for"
    return LadderResult(made.bedrock, made.model_id, made.planet, made.layer_count, made.entity_path,
                        native, loom, made.welvet, label(native, loom), made.native_vs_welvet,
                        made.loom_vs_welvet, note)


def _streamed(bedrock: str, planet: str, spoken: Spoken, place: Path, binary,
              samples: int) -> EngineStreamResult:
    """The network through the programs; real Loom for so many samples."""
    with running.refusals():
        entity = running.checkpoint(spoken.graph, place / f"{spoken.model_id}.entity", binary)
        loom = spoken.canonical(running.answers(entity, spoken.graph, spoken.inputs, binary))
    found = {}
    if samples:
        found = asking.ask(entity, spoken, samples, binary)
    if found.get("welvet") is not None:
        told = found["welvet"]
        found |= {"native_vs_welvet": label(spoken.native[:len(told)], told),
                  "loom_vs_welvet": label(loom[:len(told)], told)}
    return EngineStreamResult(bedrock, planet, spoken.model_id, spoken.layers, entity, spoken.native,
                              loom, label(spoken.native, loom), native_float32=spoken.usual, **found)


def _or_error(bedrock: str, planet: str, model_id: str | None, **options) -> EngineStreamResult:
    try:
        return stream(bedrock, planet, model_id=model_id, **options)
    except Exception as error:  # one failure stops no other
        nothing, text = speaking.nothing(), _text(error)
        return EngineStreamResult(bedrock, planet, model_id or STREAM_MODEL_IDS[bedrock], 0, text,
                                  nothing, nothing, "ERROR", welvet_note=text)


def _text(error: Exception) -> str:
    """An exception in one line; the quotes that KeyError puts around its message are left out."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(said).split()) or type(error).__name__


def _known(bedrock: str, planet: str | None) -> tuple[str, str | None]:
    """Both names in lower case; ValueError unless the bedrock is for the planet."""
    there = available_planets(bedrock)
    if planet is not None and planet.lower() not in there:
        raise ValueError(f"bedrock {bedrock} is not for planet {planet!r}: "
                         f"expected one of {', '.join(there)}")
    return bedrock.lower(), planet and planet.lower()


def _model(bedrock: str, model_id: str | None):
    """(facts, model); KeyError lists the models that there are."""
    facts, wanted = fact.of(bedrock), model_id or STREAM_MODEL_IDS[bedrock]
    names = [model.id for model in facts.models]
    if wanted not in names:
        raise KeyError(f"bedrock {bedrock} has no model {wanted}: expected one of {', '.join(names)}")
    return facts, facts.model(wanted)


def _missing(planet: str) -> list[str]:
    return [name for name in PACKAGES[planet] if importlib.util.find_spec(name) is None]


def _importable(planet: str) -> None:
    missing = _missing(planet)
    if missing:
        raise ImportError(f"{planet} needs the Python package {missing[0]}, which is not installed: "
                          f"pip install {INSTALL[planet]}", name=missing[0])


def _place(root, out_dir, bedrock: str, planet: str) -> Path:
    """The folder of the checkpoint."""
    if out_dir is not None:
        return Path(out_dir)
    return Path(root or ".") / ".planetbridging" / "stream" / bedrock / planet
