"""The ways of bytes: JSON and streams in, checkpoints read and shown, programs started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

import sets
from contest import BIN, TOOLS, Contest, Measured, Pace, Program, Trouble, say
from planetbridging import stream
from planetbridging.graph import Graph, Input, Node, Tensor
from results import Goal, Row, Table

RNG = np.random.default_rng(20260101)
STREAM, INFER, DUMP = (BIN / name for name in ("loom-stream", "loom-infer", "entity-dump"))


def tool(name: str) -> Path:
    """A program of the system, or one of this folder's."""
    found = shutil.which(name) or (TOOLS / name if (TOOLS / name).exists() else None)
    if found is None:
        raise Trouble(f"{name} is not here")
    return Path(found)


def contest(pace: Pace, ways: dict) -> dict[str, Measured]:
    """Everybody in `ways`, a name and what makes the program."""
    say(", ".join(ways))
    made = Contest()
    for name, make in ways.items():
        made.enter(name, make)
    return made.run(pace)


def row(case: str, amount: float, unit: str, found: dict, theirs: dict, clock: str = "cpu",
        note: str = "") -> Row:
    """Our program is the last; `theirs` are the others with the ratio that is wanted, or None."""
    made = Row(case, amount, unit, found, clock, note)
    for name, target in theirs.items():
        made.against(list(found)[-1], name, target)
    return made


# ---- JSON ----

def request(path: Path, layers: int, width: int) -> None:
    """A dense request of version 1, whose weights have nine digits."""
    def numbers(count: int) -> list[float]:
        return [float(f"{x:.9g}") for x in RNG.standard_normal(count) / np.sqrt(width)]

    head = {"planet": "pytorch", "model_id": "bench", "fixture_version": "v1", "input_dim": width}
    head["layers"] = [
        {"index": i, "input_dim": width, "output_dim": width, "activation": "relu",
         "weights": numbers(width * width), "bias": numbers(width)}
        for i in range(layers)
    ]
    path.write_text(json.dumps(head))


def simdjson(path: Path) -> Program:
    made = Program([tool("parse-simdjson")], given=path)
    said = subprocess.run([tool("parse-simdjson"), "about"], capture_output=True, text=True, check=True)
    made.about = f"simdjson, {said.stdout.strip()}"
    return made


def json_row(folder: Path, pace: Pace) -> Row:
    path = folder / "request.json"
    request(path, *((1, 20) if pace.quick else (4, 1000)))
    ways = {"jansson": lambda: Program([tool("parse-jansson")], given=path), "simdjson": lambda: simdjson(path)}
    if "REFERENCE_STREAM" in os.environ:
        ways["the reference's loom-stream"] = lambda: Program(
            [os.environ["REFERENCE_STREAM"], "-output", folder / "theirs.entity", "-skip-infer"], given=path)
    ways["loom-stream"] = lambda: Program([STREAM], given=path, made=folder / "net.entity")
    targets = {"jansson": 15.0, "simdjson": None}
    return row("a request of version 1, weights of nine digits", path.stat().st_size / 1e6, "MB/s",
               contest(pace, ways), {**dict.fromkeys(list(ways)[:-1]), **targets},
               note="jansson and simdjson parse it into their trees, and do no more")


# ---- streams and checkpoints ----

def chain(layers: int, width: int, make) -> Graph:
    """Dense layers of width x width without bias; `make` makes each one's weights."""
    nodes = [Node(f"n{i}", "dense", [f"n{i - 1}" if i else "x"],
                  {"in_features": width, "out_features": width, "bias": False},
                  [Tensor("weight", make(width), axes=["o", "i"])]) for i in range(layers)]
    return Graph("numpy", {}, "bench", [Input("x", "float32", ["batch", width])], [nodes[-1].name], nodes)


def drawn(width: int) -> np.ndarray:
    return RNG.standard_normal((width, width), np.float32) / np.float32(np.sqrt(width))


def stream_rows(folder: Path, pace: Pace) -> list[Row]:
    path, copy, model = folder / "net.stream", folder / "copy", folder / "net.entity"
    with path.open("wb") as out:
        stream.write(chain(*((2, 16) if pace.quick else (16, 2048)), drawn), out)
    size, cat = path.stat().st_size / 1e9, tool("cat")
    files = {"cat": lambda: Program([cat], given=path, made=copy),
             "loom-stream": lambda: Program([STREAM], given=path, made=model)}
    pipes = {"cat | cat": lambda: Program([cat, path], [cat], made=copy),
             "cat | loom-stream": lambda: Program([cat, path], [STREAM], made=model)}
    return [row("a binary stream, from a file into a file", size, "GB/s", contest(pace, files), {"cat": 0.5}),
            row("a binary stream, through a pipe", size, "GB/s", contest(pace, pipes), {"cat | cat": 0.5},
                "wall", "on the wall clock")]


def first_row(folder: Path, pace: Pace) -> Row:
    """One sample through the network that stream_rows left."""
    model, x = folder / "net.entity", folder / "x.npy"
    np.save(x, RNG.standard_normal((1, 16 if pace.quick else 2048), np.float32))
    ways = {"cat": lambda: Program([tool("cat"), model]),
            "loom-infer": lambda: Program([INFER, "-m", model, x])}
    return row("an .entity, from its start to the first output", model.stat().st_size / 1e9, "GB/s",
               contest(pace, ways), {"cat": 0.5})


def big(folder: Path, pace: Pace) -> Path:
    """A checkpoint of 4 GiB with holes for weights, which costs the disk nothing."""
    lines, width = folder / "big.stream", 64 if pace.quick else 16384
    graph = chain(4, width, lambda w: np.lib.stride_tricks.as_strided(
        np.zeros(1, np.float32), (w, w), (0, 0)))
    head = [stream.head_of(graph)] + [stream.line_of(node) for node in graph.nodes]
    with lines.open("wb") as out:
        out.writelines(map(stream.encode_line, head))
        out.seek(head[0]["bytes"], os.SEEK_CUR)
        out.write(stream.encode_line({"end": True, "bytes": head[0]["bytes"]}))
    Program([STREAM, "--no-progress"], [tool("dd"), "conv=sparse", "bs=1M", "status=none",
                                        f"of={folder / 'big.entity'}"], given=lines).run()
    return folder / "big.entity"


def header_row(folder: Path, pace: Pace) -> Row:
    model = big(folder, pace)
    ways = {"entity-dump --header": lambda: Program([DUMP, "--header", model])}
    return Row("the header of a checkpoint of 4 GiB", 1, "/s", contest(pace, ways), "wall")


# ---- programs ----

def start_row(folder: Path, pace: Pace) -> Row:
    ways = {"true": lambda: Program([tool("true")])}
    for path in sorted(BIN.iterdir()):
        ways[path.name] = lambda path=path: Program([path, "--version"])
    model, x = sets.convert(sets.dense(np.eye(8, dtype=np.float32)), folder), folder / "x.npy"
    np.save(x, np.ones((1, 8), np.float32))
    ways["loom-infer, a network of 8 x 8"] = lambda: Program([INFER, "-m", model, x])
    longer = pace if pace.quick else Pace(4 * pace.rounds, pace.seconds)
    return Row("a program, from its start to its end", 1, "/s", contest(longer, ways), "wall")


def compare_row(folder: Path, pace: Pace) -> Row:
    """loom-compare against what NumPy needs for three of its measures."""
    a = RNG.standard_normal((64, 16 if pace.quick else 1 << 20), np.float32)
    np.save(folder / "a.npy", a)
    np.save(folder / "b.npy", a + np.float32(1e-7))
    given = [folder / "a.npy", folder / "b.npy"]
    ways = {"NumPy: max, mean, RMS": lambda: Measures(given),
            "loom-compare: all measures": lambda: Program([BIN / "loom-compare", *given])}
    return row("two files of float32", 2 * a.nbytes / 1e9, "GB/s", contest(pace, ways),
               {"NumPy: max, mean, RMS": None})


class Measures:
    """NumPy's part of compare_row, in this process, so that NumPy's start does not count."""

    about = f"NumPy {np.__version__}"

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def run(self, _seconds: float) -> tuple[float, float]:
        cpu, begun = time.process_time(), time.perf_counter()
        x, y = (np.load(path, mmap_mode="r") for path in self.paths)
        d = np.abs(x - y)
        for measure in (d.max(), d.mean(), np.sqrt(np.mean(d * d))):
            assert measure >= 0
        return time.process_time() - cpu, time.perf_counter() - begun

    def close(self) -> None:
        """Nothing lasts."""


def at_most(table: Table, made: Row, seconds: float) -> None:
    """Every program of ours in the row is a goal in milliseconds."""
    table.rows.append(made)
    for name, one in made.contestants.items():
        if name != "true":
            table.goals.append(Goal(f"{name}, milliseconds", 1e3 * one.wall if one.wall else None,
                                    1e3 * seconds, True, one.trouble))


def bench(name: str, folder: Path, pace: Pace) -> Table:
    if name == "start":
        table = Table("start", "How long a person waits, on the wall clock")
        at_most(table, start_row(folder, pace), 0.005)
        at_most(table, header_row(folder, pace), 0.010)
        return table
    table = Table("paths", "Bytes in and out: each contestant is a process, from its start to its end",
                  [json_row(folder, pace), *stream_rows(folder, pace), first_row(folder, pace),
                   compare_row(folder, pace)])
    table.goal_of_rows()
    return table
