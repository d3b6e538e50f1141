"""Measures what users wait for: reading, comparing, starting, computing.

Contestants of one table run by turns, so that a slow spell of the machine meets them all; a table holds
medians, and each row's ratio to the row that its title names.
"""

import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BIN = Path(os.environ["BIN"])
ROUNDS = int(os.environ.get("ROUNDS", "5"))
RNG = np.random.default_rng(20260101)


def seconds(action):
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def medians(actions, rounds=ROUNDS):
    """The median seconds of each action, by turns, after one round that warms caches."""
    taken = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            spent = seconds(action)
            if turn > 0:
                taken[name].append(spent)
    return {name: statistics.median(times) for name, times in taken.items()}


def table(title, times, amount, unit, base):
    """A row per contestant: seconds, amount per second, speed relative to base."""
    print(f"\n{title}")
    for name, t in times.items():
        print(f"  {name:<34} {t * 1e3:10.2f} ms {amount / t:10.2f} {unit:<6} {times[base] / t:8.2f} x")


def shell(command):
    def action():
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL)
    return action


def program(name):
    return BIN / name


def request(path, layers, width):
    """A dense request of version 1, whose weights have nine digits."""
    def numbers(count):
        return [float(f"{x:.9g}") for x in RNG.standard_normal(count) / np.sqrt(width)]

    head = {"planet": "pytorch", "model_id": "bench", "fixture_version": "v1", "input_dim": width}
    head["layers"] = [
        {"index": i, "input_dim": width, "output_dim": width, "activation": "relu",
         "weights": numbers(width * width), "bias": numbers(width)}
        for i in range(layers)
    ]
    path.write_text(json.dumps(head))


def bench_json():
    path = Path("request.json")
    if not path.exists():
        request(path, 4, 1000)
    actions = {
        "jansson alone": shell(f"./jansson < {path}"),
        "loom-stream": shell(f"{program('loom-stream')} < {path}"),
    }
    reference = os.environ.get("REFERENCE_STREAM")
    if reference:
        actions["the reference's loom-stream"] = shell(f"{reference} -output ref.entity -skip-infer < {path}")
    table("JSON request of version 1, against jansson alone", medians(actions),
          path.stat().st_size / 1e6, "MB/s", "jansson alone")


def stream(path, layers, width):
    """A stream of version 2: dense layers of width x width, without bias."""
    size = layers * width * width * 4
    with path.open("wb") as out:
        def line(record):
            out.write(json.dumps(record).encode() + b"\n")

        line({"loom_stream": 2, "planet": "numpy", "mode": "eval", "nodes": layers, "bytes": size,
              "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", width]}],
              "outputs": [f"n{layers - 1}"]})
        for i in range(layers):
            weight = {"slot": "weight", "dtype": "float32", "shape": [width, width], "axes": ["o", "i"],
                      "source": f"n{i}.weight"}
            line({"name": f"n{i}", "op": "dense",
                  "params": {"in_features": width, "out_features": width, "bias": False},
                  "tensors": [weight]})
        for _ in range(layers):
            out.write((RNG.standard_normal((width, width)) / np.sqrt(width)).astype("<f4").tobytes())
        line({"end": True, "bytes": size})


def bench_stream():
    path = Path("layers.stream")
    if not path.exists():
        stream(path, 64, 2048)
    actions = {
        "cat | cat": shell(f"cat {path} | cat > copy"),
        "cat | loom-stream": shell(f"cat {path} | {program('loom-stream')} > net.entity"),
    }
    table("binary stream of version 2 through a pipe, against cat", medians(actions),
          path.stat().st_size / 1e9, "GB/s", "cat | cat")


def bench_compare():
    a = RNG.standard_normal((64, 1 << 20)).astype(np.float32)
    np.save("a.npy", a)
    np.save("b.npy", a + np.float32(1e-7))

    def with_numpy():
        x, y = (np.load(name, mmap_mode="r") for name in ("a.npy", "b.npy"))
        d = np.abs(x - y)
        return d.max(), d.mean(), np.sqrt(np.mean(d * d))

    actions = {
        "NumPy: max, mean, RMS": with_numpy,
        "loom-compare: all measures": shell(f"{program('loom-compare')} a.npy b.npy"),
    }
    table("compare of two float32 files, against NumPy", medians(actions), 2 * a.nbytes / 1e9, "GB/s",
          "NumPy: max, mean, RMS")


def bench_start():
    names = sorted(path.name for path in BIN.iterdir())
    actions = {"true": shell("/bin/true")} | {name: shell(f"{program(name)} --version") for name in names}
    table("start-up (bash included), against true", medians(actions, 4 * ROUNDS), 1, "/s", "true")


def bench_dense():
    width = 1024
    path = Path("dense.stream")
    stream(path, 1, width)
    subprocess.run(f"{program('loom-stream')} < {path} > dense.entity", shell=True, check=True)
    weight = np.frombuffer(path.read_bytes().split(b"\n", 2)[2], "<f4", width * width)
    weight = weight.reshape(width, width)
    for rows in (1, 64):
        x = RNG.standard_normal((rows, width)).astype(np.float32)
        np.save("x.npy", x)
        np.save("none.npy", x[:0])

        def infer(name):
            return shell(f"{program('loom-infer')} -m dense.entity {name}.npy")

        actions = {"NumPy's BLAS": lambda x=x: x @ weight.T, "loom-infer, process and all": infer("x"),
                   "loom-infer, no rows": infer("none")}
        times = medians(actions)
        times["loom-infer, the product"] = max(
            times["loom-infer, process and all"] - times.pop("loom-infer, no rows"), 1e-9)
        table(f"dense {rows} x {width} x {width}, against NumPy's BLAS", times,
              2e-9 * rows * width * width, "GFLOPS", "NumPy's BLAS")


def of(module, name):
    """A bench of another file, which takes its tools from here."""
    def action():
        sys.modules.setdefault("bench", sys.modules["__main__"])
        getattr(importlib.import_module(module), f"bench_{name}")()
    return action


BENCHES = {
    "json": (bench_json, ["loom-stream"]),
    "stream": (bench_stream, ["loom-stream"]),
    "compare": (bench_compare, ["loom-compare"]),
    "start": (bench_start, []),
    "dense": (bench_dense, ["loom-stream", "loom-infer"]),
    "layers": (of("networks", "layers"), ["loom-stream", "loom-infer"]),
    "resnet50": (of("whole", "resnet50"), ["loom-stream", "loom-infer", "loom-compare"]),
    "state": (of("whole", "state"), ["loom-stream"]),
    "requests": (of("networks", "requests"), ["loom-stream"]),
}


def main(wanted):
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        sys.exit(f"bench: {unknown[0]}: not one of: {' '.join(BENCHES)}")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"medians of {ROUNDS}, NumPy {np.__version__}")
    for name in wanted or BENCHES:
        action, programs = BENCHES[name]
        missing = [p for p in programs if not program(p).exists()]
        if missing:
            print(f"\n{name}: SKIPPED, {missing[0]} is not built")
        else:
            action()


if __name__ == "__main__":
    main(sys.argv[1:])
