"""Climb the ladder with one network: every rung's answer, how far it is from the exact one, and why."""

from __future__ import annotations

import io
import math
import os
import tempfile
from dataclasses import dataclass, field

import numpy as np

from .. import arrays, programs, stream, witness
from ..graph import Graph
from ..programs import ProgramError
from ..stream import StreamDocument
from . import losses as lost
from .losses import Loss

TOLERANCE = 1e-6
"""Relative to max(1, the greatest exact answer)."""

SAMPLES = 8


@dataclass
class Rung:
    """An answer, and how far it is from the exact one, relative and absolutely.

    `cut` is how far it is from the network without what entity-dump says that plain Loom loses.
    Where there is no answer, `why` says why and the distances are infinite.  `shape` is that of a
    sample as Loom was given it.
    """

    relative: float = math.inf
    absolute: float = math.inf
    cut: float = math.inf
    why: str = ""
    shape: tuple[int, ...] = ()

    @property
    def right(self) -> bool:
        return self.relative <= TOLERANCE

    @property
    def silent(self) -> bool:
        """Whether Loom did not answer in time, which says nothing of what it would have said."""
        return self.why.startswith(witness.NO_ANSWER)


@dataclass
class Row:
    """One network on all rungs; `greatest` is its greatest exact answer.

    `loom` is loom-infer.  Of real Loom, `plain` and `lowered` are on the plain and on the lowered file,
    sample by sample; `asked` are all shapes in which it was asked for `plain`, the nearest one; `batch`
    is all samples of the plain file at once.  `refused` is why there is no lowered file, `lowered_for`
    for which inputs it was lowered, if not for all that the network takes.
    """

    name: str
    greatest: float
    loom: Rung
    plain: Rung
    asked: list[Rung] = field(default_factory=list)
    batch: Rung | None = None
    lowered: Rung | None = None
    refused: str = ""
    losses: list[Loss] = field(default_factory=list)
    lowered_for: str = ""

    @property
    def vacuous(self) -> bool:
        """Whether anything near 0 would be right."""
        return self.greatest <= TOLERANCE

    @property
    def shown(self) -> list[str]:
        """The losses that really change an answer here, by name."""
        return [loss.name for loss in self.losses if self._shows(loss)]

    def _shows(self, loss: Loss) -> bool:
        if loss.alone is not None:
            return loss.alone > TOLERANCE
        return any(form is not None and form.cut > TOLERANCE for form in (*self.asked, self.batch))

    @property
    def fault(self) -> str:
        """Why the row fails, or "".

        What is named must show, and what shows must be named: Loom's answer is the exact one, or that
        of the network without the named losses, or a loss of shapes accounts for it.
        """
        shown = set(self.shown)
        moving = [loss.name for loss in self.losses if not loss.asking and loss.name in shown]
        asking = [loss.name for loss in self.losses if loss.asking]
        hidden = set(asking) - shown - {lost.RESHAPES_LOST} if not self.vacuous else set()
        lowered = self.lowered
        silent = [rung for rung in (self.plain, self.batch, lowered) if rung and rung.silent]
        checks = (
            (silent, f"{silent[0].why if silent else ''}: give it more time"),
            (not self.loom.right, f"loom-infer is wrong: {distance(self.loom)}"),
            (self.plain.right and moving, f"named, but does not show: {', '.join(moving)}"),
            (hidden, f"named, but does not show: {', '.join(sorted(hidden))}"),
            (not self.plain.right and not shown, f"no defect accounts for {distance(self.plain)}"),
            (self.plain.cut > TOLERANCE and not shown & set(asking) - {lost.LEAK},
             f"the named defects leave {self.plain.cut:.1e} unexplained"),
            (self.batch and self.batch.cut > TOLERANCE and not asking,
             f"no defect accounts for the batch: {distance(self.batch)}"),
            (lowered and not lowered.right, f"the lowered file is wrong: {distance(lowered)}"))
        return next((text for failed, text in checks if failed), "")


def distance(rung: Rung | None) -> str:
    """How far from the exact answer, in words; "" of nothing."""
    if rung is None:
        return ""
    return rung.why or f"{rung.relative:.1e} (max abs {rung.absolute:.2g})"


def climb(name: str, document: StreamDocument, inputs: dict[str, np.ndarray], exact: np.ndarray, *,
          samples: int | None = SAMPLES, timeout: float = witness.SECONDS) -> Row:
    """Run the network of `document` on the first `samples` of `inputs` on every rung.

    `exact` is native's float64 output, of several the first: Loom has one.  Samples lie along the
    first axis of all inputs and of the output; with `samples` None all is one sample, which Loom is
    given as it is.  Raises ProgramError where one of our programs refuses; that there is a Loom to
    ask is the caller's to see (`witness.missing`).
    """
    document = lost.until(document, document.head["outputs"][0])
    if samples is not None:
        inputs, exact = {key: x[:samples] for key, x in inputs.items()}, exact[:samples]
    with tempfile.TemporaryDirectory(prefix="planetbridging-ladder-") as folder:
        return Climb(folder, document, inputs, exact, samples is None, timeout).row(name)


def climb_graph(name: str, graph: Graph, inputs: dict[str, np.ndarray], exact: dict[str, np.ndarray],
                **options) -> Row:
    """The same for a graph that was just emitted, `exact` by output name."""
    spool = io.BytesIO()
    stream.write(graph, spool)
    spool.seek(0)
    document = StreamDocument.parse(spool)
    names = [item.name for item in graph.inputs]
    if len(names) == len(inputs) == 1:
        inputs = dict(zip(names, inputs.values()))
    return climb(name, document, inputs, exact[graph.outputs[0]], **options)


class Climb:
    """All runs for one network, in a folder of their own."""

    def __init__(self, folder: str, document: StreamDocument, inputs, exact, whole: bool,
                 timeout: float):
        self.folder, self.document, self.inputs = folder, document, inputs
        self.exact = np.asarray(exact, np.float64).ravel()
        self.scale = max(1.0, float(np.abs(self.exact).max(initial=0)))
        self.whole, self.timeout = whole, timeout
        self.cut = self.exact

    def row(self, name: str) -> Row:
        plain = self.entity(self.document, "plain.entity")
        loom = self.rung(self.infer(plain), self.exact)
        losses = self.judged(lost.predicted(self.check(plain), self.document))
        asked = self.ask(plain)
        greatest = float(np.abs(self.exact).max(initial=0))
        row = Row(name, greatest, loom, nearest(asked), asked, losses=losses)
        if not self.whole:
            row.batch = self.one_form(plain, [self.read()])
        self.lower(row)
        return row

    def lower(self, row: Row) -> None:
        """Loom on the lowered file, or why there is none.

        A file for samples of any shape, or for many at once, may have to be lowered for these, or for
        one at a time.
        """
        batches = () if self.whole else (None, 1)
        narrow = [lost.for_loom(self.document, self.inputs, batch) for batch in batches]
        for document in (self.document, *narrow):
            try:
                entity = self.entity(document, "lowered.entity", "--lower")
            except ProgramError as error:
                if error.status != 3:  # it is not the network that is at fault
                    raise
                row.refused = " ".join(str(error).split())
                continue
            row.lowered, row.refused = nearest(self.ask(entity)), ""
            row.lowered_for = "" if document is self.document else shapes(document)
            return

    def judged(self, losses: list[Loss]) -> list[Loss]:
        """How far each loss goes alone; `cut` becomes the answer without all of them."""
        for loss in losses:
            if not loss.asking:
                values = self.without([loss])
                loss.alone = None if values is None else self.away(values, self.exact)
            elif loss.nodes and len(self.document.nodes) > 1:
                any_length = loss.name == lost.ONE_LENGTH
                loss.alone = max(self.apart(node, any_length) for node in loss.nodes)
        values = self.without(losses)
        self.cut = self.exact if values is None else values
        return losses

    def without(self, losses: list[Loss]) -> np.ndarray | None:
        """The answer of the network that has lost all these; None if what is left is no network."""
        if all(loss.asking for loss in losses):
            return self.cut
        try:
            return self.infer(self.entity(lost.without(self.document, losses), "without.entity"))
        except ProgramError:
            return None

    def apart(self, name: str, any_length: bool) -> float:
        """How far Loom is from one layer alone, fed with what it reads here, where that is furthest."""
        reads = [tensor for tensor in lost.connected(self.document).node(name)["in"] if tensor]
        given = {tensor: self.tensor(tensor) for tensor in reads}
        document = lost.alone(self.document, name, given, any_length)
        with tempfile.TemporaryDirectory(prefix="planetbridging-ladder-") as folder:
            single = Climb(folder, document, given, [], False, self.timeout)
            plain = single.entity(document, "plain.entity")
            single.cut = single.infer(plain)
            single.scale = max(1.0, float(np.abs(single.cut).max(initial=0)))
            single.judged(lost.predicted(single.check(plain), document))
            forms = [*single.ask(plain), single.one_form(plain, [single.read()])]
            return max(form.cut for form in forms)

    def tensor(self, name: str) -> np.ndarray:
        """What stands in a tensor of the network."""
        if name in self.inputs:
            return self.inputs[name]
        return self.run(self.entity(lost.until(self.document, name), "until.entity"))

    def entity(self, document: StreamDocument, name: str, *options: str) -> str:
        path, source = os.path.join(self.folder, name), os.path.join(self.folder, "model.stream")
        with open(source, "wb") as out:
            document.write(out)
        programs.run("loom-stream", [*options, "-o", path], stdin=source)
        return path

    def infer(self, entity: str) -> np.ndarray:
        """loom-infer's answer, flat, in float64."""
        return np.asarray(self.run(entity), np.float64).ravel()

    def run(self, entity: str) -> np.ndarray:
        given = os.path.join(self.folder, "x.npy" if len(self.inputs) == 1 else "x.npz")
        made = os.path.join(self.folder, "y.npy")
        with arrays.binary_output(given) as out:
            arrays.write_arrays(self.inputs, out)
        programs.run("loom-infer", ["-m", entity, given], stdout=made)
        (values,) = arrays.read_arrays(made).values()
        return values

    def check(self, entity: str) -> list[str]:
        """What entity-dump says that plain Loom gets wrong."""
        _, said, _ = programs.run("entity-dump", ["--check", entity], answers=(0, 1))
        mark = "plain Loom: "
        return [line.removeprefix(mark) for line in said.splitlines() if line.startswith(mark)]

    def read(self) -> np.ndarray:
        """The input that the first layer reads: Loom has one."""
        names = [item["name"] for item in self.document.head["inputs"]]
        if len(self.inputs) == 1:
            return next(iter(self.inputs.values()))
        read = (tensor for node in lost.connected(self.document).nodes for tensor in node["in"])
        return self.inputs[next((tensor for tensor in read if tensor in names), names[0])]

    def ask(self, entity: str) -> list[Rung]:
        """Loom's answers: each sample as a batch of one, and if that is wrong by itself."""
        x = self.read()
        if self.whole:
            return [self.one_form(entity, [x])]
        made = [self.one_form(entity, [x[n:n + 1] for n in range(len(x))])]
        if not made[0].right and x.ndim > 1:
            made.append(self.one_form(entity, [x[n] for n in range(len(x))]))
        return made

    def one_form(self, entity: str, samples: list[np.ndarray]) -> Rung:
        said = witness.ask(entity, samples, timeout=self.timeout)
        shape = samples[0].shape
        if said.death:
            return Rung(why=said.death, shape=shape)
        return self.rung(np.concatenate([np.ravel(y) for y in said.outputs]), self.exact, shape)

    def rung(self, values: np.ndarray, exact: np.ndarray, shape=()) -> Rung:
        if values.size != exact.size:
            why = f"{values.size} values, not {exact.size}"
            return Rung(why=why, cut=self.away(values, self.cut), shape=shape)
        absolute = self.away(values, exact) * self.scale
        return Rung(absolute / self.scale, absolute, self.away(values, self.cut), shape=shape)

    def away(self, values: np.ndarray, wanted: np.ndarray) -> float:
        """Greatest difference over the scale; infinite where there are other values, or NaN."""
        if values.size != wanted.size:
            return math.inf
        found = float(np.abs(values - wanted).max(initial=0)) / self.scale
        return math.inf if math.isnan(found) else found


def shapes(document: StreamDocument) -> str:
    """The inputs of a network, as "x [1, 4]"."""
    return ", ".join(f"{item['name']} [{', '.join(map(str, item['shape']))}]"
                     for item in document.head["inputs"])


def nearest(rungs: list[Rung]) -> Rung:
    """The one nearest to the exact answer; of those that have none, the one that is explained."""
    return min(rungs, key=lambda rung: (rung.relative, rung.cut))
