"""Products of matrices: ours against OpenBLAS and oneDNN, and one row against what memory allows."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np

import sets
from contest import TOOLS, Contest, Contestant, Measured, Pace, environment, say
from results import Goal, Row, Table, ulps

LARGE = [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 4096, 4096), (128, 768, 768),
         (128, 3072, 768), (128, 768, 3072), (512, 768, 768), (512, 3072, 768), (1024, 512, 512)]
SMALL = [(64, 64, 64), (128, 128, 128), (256, 256, 256), (64, 4096, 1024), (512, 64, 64), (100, 32, 64),
         (100, 64, 32), (100, 16, 32), (1000, 64, 16), (100, 8, 16)]
FEW = [(8, 512, 512), (8, 2048, 2048), (16, 4096, 4096), (32, 1024, 1024)]
ONE = [(1, 384, 384), (1, 1024, 1024), (1, 2048, 2048), (1, 8192, 8192)]
TINY = [(1, 32, 48), (8, 16, 32), (128, 48, 16)]

BLAS, DNN, READ = "OpenBLAS", "oneDNN sgemm", "a loop that reads"
MEDIAN = {"avx512": 0.48, "amx": 0.95}
LEAST = {"avx512": 0.38, "amx": 0.85}
OLDER = {"sse2": "Nehalem", "avx2": "Haswell"}
"""OpenBLAS has kernels for processors that had no more than this set of ours."""
OLDER_TARGET = {"sse2": 0.40, "avx2": 0.50}
SAMPLE = 4096


def ours(name: str) -> str:
    return f"loom {name}"


def exact(x: np.ndarray, w: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """(places, values) of some of the products: a product of binary32 is exact in binary64, and fsum
    rounds the exact sum once."""
    m, n = len(x), len(w)
    places = np.sort(rng.choice(m * n, min(SAMPLE, m * n), replace=False))
    values = np.empty(len(places))
    for i, place in enumerate(places):
        terms = x[place // n].astype(np.float64) * w[place % n]
        values[i] = math.fsum(terms.tolist())
    return places, values


def level(size: int) -> str:
    """The nearest memory that holds so many bytes with room to spare, as Linux tells it."""
    caches = Path("/sys/devices/system/cpu/cpu0/cache")
    for index in sorted(caches.glob("index*")):
        which = (index / "level").read_text().strip()
        if which > "1" and size <= 0.7 * 1024 * int((index / "size").read_text().strip()[:-1]):
            return f"L{which}"
    return "DRAM"


class Case:
    """One shape: its files, its contestants, its row."""

    def __init__(self, shape: tuple, folder: Path):
        self.m, self.n, self.k = shape
        self.folder = folder
        self.rng = np.random.default_rng(20260101)
        self.x = self.rng.standard_normal((self.m, self.k), np.float32)
        self.w = self.rng.standard_normal((self.n, self.k), np.float32) / np.float32(np.sqrt(self.k))
        self.x.tofile(folder / "x.f32")
        self.w.tofile(folder / "w.f32")
        np.save(folder / "x.npy", self.x)
        self.model = sets.convert(sets.dense(self.w), folder)

    def vendor(self, which: str, threads: int = 1, **more: str) -> Contestant:
        return Contestant([TOOLS / "vendor", which, self.m, self.n, self.k, self.folder / "x.f32",
                           self.folder / "w.f32"], environment(threads, **more))

    def enter(self, contest: Contest) -> None:
        contest.enter(BLAS, lambda: self.vendor("openblas"))
        for name in sets.here():
            if name in OLDER:
                contest.enter(f"{BLAS} {OLDER[name]}",
                              lambda name=name: self.vendor("openblas", OPENBLAS_CORETYPE=OLDER[name]))
        contest.enter(DNN, lambda: self.vendor("onednn"))
        if self.m == 1:
            contest.enter(READ, lambda: self.vendor("read"))
        for name in sets.NAMES:
            if sets.trouble(name):
                contest.found[ours(name)] = Measured(trouble=sets.trouble(name))
            else:
                contest.enter(ours(name), lambda name=name: sets.forward(
                    self.model, self.folder / "x.npy", name))

    def judge(self, contest: Contest) -> None:
        """How exact everybody was, and that all our sets gave the same bits."""
        places, values = exact(self.x, self.w, self.rng)
        bits = {}
        for name, one in contest.there.items():
            if name == READ:
                continue
            result = one.save(self.folder / "y.f32")
            contest.found[name].ulp = ulps(np.frombuffer(result, "<f4")[places], values)
            if name.startswith("loom"):
                bits[name] = result
                contest.found[name].stages = [int(n) for n in one.tell().split()]
        same_bits(bits)

    def row(self, pace: Pace) -> Row:
        say(f"{self.m} x {self.n} x {self.k}")
        contest = Contest()
        self.enter(contest)
        found = contest.run(pace)
        self.judge(contest)
        contest.close()
        size = 4 * self.n * self.k
        if self.m == 1:
            return Row(f"1 x {self.n} x {self.k}, weights in {level(size)}", size * 1e-9, "GB/s", found)
        return Row(f"{self.m} x {self.n} x {self.k}", 2e-9 * self.m * self.n * self.k, "GFLOP/s", found)


def same_bits(bits: dict[str, bytes]) -> None:
    first, *others = bits or [""]
    for other in others:
        if bits[other] != bits[first]:
            raise SystemExit(f"bench: {first} and {other} do not give the same bits")


def compare(row: Row, targets: dict[str, float]) -> None:
    for name in sets.NAMES:
        row.against(ours(name), BLAS, targets.get(name))


def large(shapes, folder: Path, pace: Pace) -> Table:
    table = Table("products", "Products, M x N x K: M rows, weights N x K; ratios are to OpenBLAS sgemm")
    for shape in shapes:
        row = Case(shape, folder).row(pace)
        compare(row, LEAST)
        for name in OLDER.keys() & set(sets.NAMES):
            row.against(ours(name), f"{BLAS} {OLDER[name]}")
        table.rows.append(row)
    for name in sets.NAMES:
        table.goals += goals(table, name)
    return table


def goals(table: Table, name: str) -> list[Goal]:
    """Median and least ratio of a set over the shapes of a table."""
    theirs = f"{BLAS} {OLDER[name]}" if name in OLDER else BLAS
    found = [r.ratio for row in table.rows for r in row.ratios
             if r.ours == ours(name) and r.theirs == theirs and r.ratio]
    why = sets.trouble(name) or "not measured"
    made = []
    for what, targets, value in (("median", {**MEDIAN, **OLDER_TARGET}, statistics.median),
                                 ("least", LEAST, min)):
        if name in targets:
            made.append(Goal(f"{ours(name)} / {theirs}, {what} of {len(table.rows)} shapes",
                             value(found) if found else None, targets[name], why="" if found else why))
    return made


def small(shapes, folder: Path, pace: Pace) -> Table:
    table = Table("small", "Small products; ratios are to OpenBLAS sgemm")
    for shape in shapes:
        row = Case(shape, folder).row(pace)
        compare(row, {})
        table.rows.append(row)
    return table


def few(shapes, folder: Path, pace: Pace) -> Table:
    table = Table("few", "Few rows; ratios are to OpenBLAS sgemm")
    for shape in shapes:
        row = Case(shape, folder).row(pace)
        compare(row, dict.fromkeys(MEDIAN, 1.0))
        table.rows.append(row)
    table.goal_of_rows()
    return table


def one(shapes, folder: Path, pace: Pace) -> Table:
    table = Table("one", "One row: bytes of weights per second; ratios are to a loop that reads them, and "
                  "to OpenBLAS sgemv")
    for shape in shapes:
        row = Case(shape, folder).row(pace)
        near = " L2" in row.case
        for name in sets.NAMES:
            wanted = name != "sse2" and not near
            row.against(ours(name), READ, 0.95 if wanted else None)
            row.against(ours(name), BLAS, 0.58 if near and name in MEDIAN else None)
        table.rows.append(row)
    table.goal_of_rows()
    return table


def bench(name: str, folder: Path, pace: Pace) -> Table:
    make, shapes = {"products": (large, LARGE), "small": (small, SMALL), "few": (few, FEW),
                    "one": (one, ONE)}[name]
    return make(TINY[:1] if pace.quick and make is one else TINY[1:] if pace.quick else shapes, folder, pace)
