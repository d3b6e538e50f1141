"""Known mistakes by operation, each planted in one node of a stream.

`FAULTS` has for each operation the mistakes that an emitter can make of it.  Where one cannot change
what the node computes, it says why; where it does not apply (no bias to drop), it is none.  Names of
tensors stay, so that the altered network can still be fed with the framework's.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from ...stream import StreamDocument
from ...vocabulary import AXES
from ..fault import Fault
from ..network import GATES

GROWTH = 1.01
"""A weight that is wrong by 1 %."""


class Without(Exception):
    """Why a mistake changes nothing of what a node computes."""


@dataclass
class Site:
    """A node of an altered copy of a stream; `values` are the tensors of the original run by name."""

    document: StreamDocument
    name: str
    values: dict

    @property
    def node(self) -> dict:
        return self.document.node(self.name)

    @property
    def params(self) -> dict:
        return self.node["params"]

    def slots(self) -> list[str]:
        return [entry["slot"] for entry in self.node["tensors"] if "same" not in entry]

    def array(self, slot: str, axes: str = "") -> np.ndarray:
        """A tensor, in the order of `axes` if they are given."""
        array, own = self.document.array(self.name, slot), self.axes(slot)
        return array.transpose([own.index(a) for a in axes]) if axes else array

    def axes(self, slot: str) -> list[str]:
        return self.document.entry(self.name, slot).get("axes", [])

    def put(self, slot: str, array: np.ndarray, axes: str = "") -> None:
        if axes:
            array = array.transpose([axes.index(a) for a in self.axes(slot)])
        self.document.alter(self.name, slot, array)

    def drop(self, *slots: str) -> None:
        for slot in slots:
            self.document.drop(self.name, slot)

    def exchange(self, one: str, two: str) -> None:
        """Each slot gets the other's values."""
        slots = AXES[self.node["op"]]
        a, b = self.array(one, slots[one]), self.array(two, slots[two])
        self.put(one, b, slots[one])
        self.put(two, a, slots[two])

    def given(self, number: int = 0) -> np.ndarray | None:
        """What the node reads, if it is known."""
        names = self.node["in"]
        return self.values.get(names[number]) if number < len(names) else None


def faults(document: StreamDocument, values: dict) -> list[Fault]:
    """Every mistake of every node, "NODE:MISTAKE"; `values`: inputs and tensors of a run by name."""
    found = []
    for node in document.nodes:
        for slot in [e["slot"] for e in node["tensors"] if "same" not in e]:
            found.append(planted(document, values, node["name"], f"weight.{slot}",
                                 lambda site, s=slot: grow(site, s)))
        for name, plant in FAULTS.get(node["op"], ()):
            found.append(planted(document, values, node["name"], name, plant))
    return [fault for fault in found if fault is not None]


def planted(document, values, node: str, name: str, plant) -> Fault | None:
    """The mistake in a copy of the stream; None where there is nothing to mistake."""
    site = Site(copy.deepcopy(document), node, values)
    try:
        what = plant(site)
    except Without as why:
        return Fault(f"{node}:{name}", str(why))
    return None if what is None else Fault(f"{node}:{name}", what, site.document)


def grow(site: Site, slot: str) -> str | None:
    """The greatest weight grows by 1 %: of those that read or make what is not always zero."""
    if slot == "bk" and site.params["rope"] == "none":
        raise Without("a softmax does not see what all keys have in common")
    array = site.array(slot)
    size = np.abs(array.astype(float)) * alive(site, slot, array)
    if not size.any():
        return None
    place = np.unravel_index(size.argmax(), array.shape)
    old = array[place]
    array[place] = old * array.dtype.type(GROWTH)
    site.put(slot, array)
    return f"{slot}{list(map(int, place))}: {old:.9g} became {array[place]:.9g}"


def alive(site: Site, slot: str, array: np.ndarray):
    """How loud each weight's input is, and its output where that is a rectified state."""
    axes, op = site.axes(slot), site.node["op"]
    loud = np.ones(array.shape)
    if op == "dense" and slot == "weight" and site.given() is not None:
        loud = along(loud, axes.index("i"), site.given())
    if slot == "bk":
        loud = loud * speeds(site.params).reshape(-1)
    state = site.values.get(site.node.get("out", [site.name])[0])
    if op == "rnn" and site.params["activation"] == "relu" and state is not None:
        for letter in "hu":
            loud = along(loud, axes.index(letter), state) if letter in axes else loud
    return loud


def speeds(p: dict) -> np.ndarray:
    """How fast each element of the key heads turns: a bias is seen by what turning makes of it."""
    half = p["head_dim"] // 2
    speed = float(p["rope_base"]) ** (-np.arange(half) / half)
    one = np.tile(speed, 2) if p["rope"] == "half" else np.repeat(speed, 2)
    return np.tile(one, p["num_kv_heads"])


def along(loud: np.ndarray, axis: int, values: np.ndarray) -> np.ndarray:
    """`loud` times the greatest magnitude of each feature, which run along an axis."""
    most = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
    return loud * np.expand_dims(most, [n for n in range(loud.ndim) if n != axis])


def without(slots: tuple[str, ...], *flags: str):
    """Slots that are left out, and the parameters that promised them."""
    def plant(site):
        if not set(slots) <= set(site.slots()):
            return None
        if slots == ("bk",) and site.params["rope"] == "none":
            raise Without("a softmax does not see what all keys have in common")
        neutral = 1 if slots == ("gamma",) else 0
        if all((site.array(slot) == neutral).all() for slot in slots):
            return None
        site.drop(*slots)
        site.params.update(dict.fromkeys(flags, False))
        return f"has lost {', '.join(slots)}"
    return plant


def transposed(slot: str, one: str, two: str):
    """A slot whose two axes are taken for each other, where they are as long."""
    def plant(site):
        entry = site.document.entry(site.name, slot)
        axes = entry["axes"]
        if not {one, two} <= set(axes):
            return None
        a, b = axes.index(one), axes.index(two)
        if entry["shape"][a] != entry["shape"][b] or entry["shape"][a] == 1:
            return None
        axes[a], axes[b] = axes[b], axes[a]
        return f"{slot} is transposed: {one} and {two}"
    return plant


def setting(key: str, *pairs: tuple):
    """A parameter that has the first value of a pair has the second instead."""
    def plant(site):
        old = site.params[key]
        for was, becomes in pairs:
            if old == was:
                site.params[key] = becomes
                return f"{key} is {becomes}, not {was}"
        return None
    return plant


def renamed(op: str, **params):
    """The node is another operation, which has these parameters."""
    def plant(site):
        site.node["op"], site.node["params"] = op, dict(params)
        return f"is {op}"
    return plant


def columns(site):
    """Columns that a flatten made are taken in the order of channels last, or first."""
    source = source_of(site)
    if source is None or source.ndim < 3 or source.shape[1] == 1 or source[0].size == source.shape[1]:
        return None
    weight = site.array("weight", "oi")
    shape = source.shape[1:]
    if weight.shape[1] != source[0].size:
        return None
    turned = np.moveaxis(weight.reshape(-1, *shape), 1, -1).reshape(weight.shape)
    site.put("weight", turned, "oi")
    return f"its columns are taken for {list(shape)} with the first axis last"


def source_of(site) -> np.ndarray | None:
    """What the flatten or reshape before a dense layer reads."""
    makers = {name: node for node in site.document.nodes for name in node.get("out", [node["name"]])}
    name = site.node["in"][0]
    while name in makers and makers[name]["op"] in ("flatten", "reshape"):
        name = makers[name]["in"][0]
        found = site.values.get(name)
        if found is not None and found.ndim > 2:
            return found
    return None


def exchanged_pads(site):
    p = site.params
    if p["pad_low"] == p["pad_high"]:
        return None
    p["pad_low"], p["pad_high"] = p["pad_high"], p["pad_low"]
    return f"pads {p['pad_low']} before and {p['pad_high']} behind"


def shifted_pads(site):
    """As many zeros, but one more before and one less behind."""
    p = site.params
    if not any(p["pad_high"]):
        return None
    n = max(range(len(p["pad_high"])), key=p["pad_high"].__getitem__)
    p["pad_low"][n], p["pad_high"][n] = p["pad_low"][n] + 1, p["pad_high"][n] - 1
    return f"pads {p['pad_low']} before and {p['pad_high']} behind"


def stepped(key: str):
    """A stride or dilation of 1: where only shapes that are free come behind, the answer's is wrong."""
    def plant(site):
        if max(site.params[key]) == 1 or not free_behind(site):
            return None
        site.params[key] = [1] * len(site.params[key])
        return f"{key} is 1"
    return plant


def free_behind(site) -> bool:
    """Whether nothing behind the node wants a shape."""
    made = {site.name, *site.node.get("out", [])}
    for node in site.document.nodes:
        if made & set(filter(None, node["in"])):
            if node["op"] not in ("relu", "tanh", "sigmoid", "silu", "transpose") and \
                    not node["op"].startswith("conv"):
                return False
            made |= {node["name"], *node.get("out", [])}
    return True


def exchanged_groups(site):
    """Filters of the first group are taken for those of the second."""
    groups = site.params["groups"]
    if groups == 1:
        return None
    axes = "".join(sorted(site.axes("weight"), key=lambda a: a != "f"))
    weight = site.array("weight", axes)
    site.put("weight", np.roll(weight, len(weight) // groups, axis=0), axes)
    return "filters stand in other groups"


def mirrored(site):
    """A kernel read from its other end, as by a true convolution."""
    weight = site.array("weight")
    spatial = [n for n, a in enumerate(site.axes("weight")) if a in "dhw" and weight.shape[n] > 1]
    if not spatial:
        return None
    site.put("weight", np.flip(weight, spatial))
    return "the kernel is mirrored"


CONV = [("bias", without(("bias",), "bias")), ("pads", exchanged_pads), ("shift", shifted_pads),
        ("stride", stepped("stride")), ("dilation", stepped("dilation")), ("groups", exchanged_groups),
        ("channels", transposed("weight", "f", "c")), ("kernel", transposed("weight", "h", "w")),
        ("depth", transposed("weight", "d", "h")), ("mirror", mirrored)]


def gates(one: str, two: str):
    """Two gates of an lstm or gru are taken for each other."""
    def plant(site):
        for slot in [slot for slot in site.slots() if slot.endswith(f"_{one}")]:
            site.exchange(slot, slot[:-1] + two)
        return f"gates {one} and {two} are exchanged"
    return plant


def recurrent_bias(site):
    """The last of the biases is dropped."""
    count = site.params["biases"]
    if not count:
        return None
    last = [s for s in site.slots() if s.split("_")[0] == ("b", "b2")[count - 1]]
    if not any(site.array(slot).any() for slot in last):
        return None
    site.drop(*last)
    site.params["biases"] = count - 1
    return f"has lost {', '.join(last)}"


def direction(site):
    forward = site.params["direction"] == "forward"
    site.params.update(direction="backward" if forward else "forward", order="time")
    return f"runs {site.params['direction']}"


def order(site):
    if site.params["direction"] == "forward":
        return None
    site.params["order"] = "time" if site.params["order"] == "reversed" else "reversed"
    return f"its steps are in the order {site.params['order']}"


def lost_states(site):
    if len(site.node["in"]) == 1:
        return None
    site.node["in"] = site.node["in"][:1]
    return "begins with zeros"


def exchanged_states(site):
    if len(site.node["in"]) < 3:
        return None
    x, h, c = site.node["in"]
    site.node["in"] = [x, c, h]
    return "h and c are exchanged"


RECURRENT = [("bias", recurrent_bias), ("direction", direction), ("order", order),
             ("states", lost_states)]


def heads_moved(site):
    """Rows of the queries' heads stand one head further on."""
    p = site.params
    if p["num_heads"] == 1:
        return None
    for slot, axes in (("Wq", "qd"), ("bq", "q")):
        if slot in site.slots():
            site.put(slot, np.roll(site.array(slot, axes), p["head_dim"], axis=0), axes)
    return "heads of the queries are permuted"


def groups_mixed(site):
    """Query head j reads key head j mod G instead of j div (H/G)."""
    p = site.params
    count, kv = p["num_heads"], p["num_kv_heads"]
    if count == kv or kv == 1:
        return None
    way = np.arange(count).reshape(kv, -1).T.ravel()
    for slot, axes, width in (("Wq", "qd", p["head_dim"]), ("bq", "q", p["head_dim"]),
                              ("Wo", "od", p["value_dim"])):
        if slot in site.slots():
            array = site.array(slot, axes)
            heads = array.reshape(count, width, *array.shape[1:])[way]
            site.put(slot, heads.reshape(array.shape), axes)
    return "query heads read key heads in another order"


def halves(site):
    """Rows of q and k inside each head as the other style of rotation wants them."""
    p = site.params
    if p["rope"] == "none":
        return None
    e = p["head_dim"]
    way = np.arange(e).reshape(-1, 2).T.ravel()
    for slot, axes in (("Wq", "qd"), ("Wk", "kd"), ("bq", "q"), ("bk", "k")):
        if slot in site.slots():
            array = site.array(slot, axes)
            site.put(slot, array.reshape(-1, e, *array.shape[1:])[:, way].reshape(array.shape), axes)
    return "rows of q and k are paired for the other rotation"


def base(site):
    p = site.params
    if p["rope"] == "none" or p["head_dim"] == 2:
        return None
    p["rope_base"] *= 50.0
    return f"rope_base is {p['rope_base']:g}"


def unturned(site):
    if site.params["rope"] == "none":
        return None
    site.params.update(rope="none", rope_base=None)
    return "positions are not turned"


def turned(site):
    if site.params["rope"] != "none" or site.params["head_dim"] % 2:
        return None
    site.params.update(rope="half", rope_base=10000.0)
    return "positions are turned"


def exchanged(one: str, two: str):
    """Two slots of one shape are taken for each other, with their biases."""
    def plant(site):
        if site.array(one).shape != site.array(two).shape:
            return None
        site.exchange(one, two)
        biases = [slot.replace("W", "b") for slot in (one, two)]
        if set(biases) <= set(site.slots()):
            site.exchange(*biases)
        return f"{one} and {two} are exchanged"
    return plant


def causal(site):
    if len([name for name in site.node["in"] if name is not None]) > 1:
        return None
    site.params["causal"] = not site.params["causal"]
    return f"causal is {site.params['causal']}"


def unmasked(site):
    if site.params["mask"] == "none":
        return None
    site.params["mask"] = "none"
    site.node["in"] = site.node["in"][:3]
    return "its mask is left out"


def scaled(site):
    site.params["scale"] = 1.0 / site.params["head_dim"]
    return "scores are divided by the head's width"


ATTENTION = [*((f"bias.{n}", without((f"b{n}",), f"{n}_bias")) for n in "qkvo"),
             ("heads", heads_moved), ("groups", groups_mixed), ("pairs", halves), ("base", base),
             ("style", setting("rope", ("half", "interleaved"), ("interleaved", "half"))),
             ("unturned", unturned), ("turned", turned), ("causal", causal), ("unmasked", unmasked),
             ("polarity", setting("mask", ("keep", "hide"), ("hide", "keep"))), ("scale", scaled),
             ("keys", exchanged("Wq", "Wk")), ("values", exchanged("Wk", "Wv")),
             ("square", transposed("Wo", "d", "o"))]


def eps(site):
    """1e-3 and what is about 1e-5 are taken for each other, what is smaller for 1e-5."""
    old = site.params["eps"]
    site.params["eps"] = 1e-3 if 1e-5 <= old < 1e-4 else 1e-5
    return f"eps is {site.params['eps']:g}, not {old:g}"


def other_norm(op: str):
    def plant(site):
        if "beta" in site.slots():
            site.drop("beta")
        p = site.params
        site.node["op"] = op
        site.node["params"] = {"dim": p["dim"], "eps": p["eps"], "scale": p["scale"]}
        if op == "layernorm":
            site.node["params"]["offset"] = False
        return f"is {op}"
    return plant


NORM = [("eps", eps), ("gamma", without(("gamma",), "scale"))]


def statistics(one: str, two: str):
    """Two of a batch norm's slots are taken for each other."""
    def plant(site):
        if not {one, two} <= set(site.slots()):
            return None
        site.exchange(one, two)
        return f"{one} and {two} are exchanged"
    return plant


BATCHNORM = [*NORM, ("beta", without(("beta",), "offset")), ("statistics", statistics("mean", "beta")),
             ("scales", statistics("var", "gamma"))]


def off_by_one(site):
    """Token n finds the row of n + 1."""
    table = site.array("table", "vd")
    site.put("table", np.roll(table, -1, axis=0), "vd")
    return "rows are off by one"


def averaged(site):
    """Its neighbour among the pools."""
    p, op = site.params, site.node["op"]
    n = op[-1]
    more = {"dilation": [1] * int(n)} if op.startswith("avg") else {"count_pad": True}
    kept = {key: p[key] for key in ("kernel", "stride", "pad_low", "pad_high", "ceil")}
    site.node["op"] = ("max" if op.startswith("avg") else "avg") + f"pool{n}"
    site.node["params"] = {**kept, **more}
    return f"is {site.node['op']}"


def other_global(site):
    """Its neighbour among the pools over everything."""
    site.node["op"] = "global_maxpool" if site.node["op"] == "global_avgpool" else "global_avgpool"
    return f"is {site.node['op']}"


def uncounted(site):
    if not any(site.params["pad_low"] + site.params["pad_high"]):
        return None
    site.params["count_pad"] = not site.params["count_pad"]
    return f"count_pad is {site.params['count_pad']}"


def lost_skip(number: int):
    """A sum keeps one of its terms only."""
    def plant(site):
        if len(site.node["in"]) < 2 or not any(name in site.values for name in site.node["in"]):
            return None
        site.node["in"] = [site.node["in"][number]]
        site.node["op"] = "linear"
        return f"only {site.node['in'][0]} is left of the sum"
    return plant


SUM = [("skip", lost_skip(0)), ("branch", lost_skip(1)), ("minus", renamed("sub"))]
DENSE = [("bias", without(("bias",), "bias")), ("square", transposed("weight", "o", "i")),
         ("columns", columns)]
SWIGLU = [("bias.gate", without(("bg", "bu", "bd"), "bias")), ("gate", exchanged("Wg", "Wu")),
          ("activation", setting("activation", ("silu", "relu2"), ("relu2", "silu"))),
          ("square", transposed("Wg", "m", "i")), ("square.down", transposed("Wd", "m", "i"))]
RNN = [*RECURRENT, ("activation", setting("activation", ("tanh", "relu"), ("relu", "tanh"))),
       ("recurrent", transposed("U", "h", "u")), ("square", transposed("W", "h", "i"))]
LSTM = [*RECURRENT, *((f"gates.{a}{b}", gates(a, b)) for a, b in zip(GATES, GATES[1:])),
        ("exchange", exchanged_states), ("recurrent", transposed("U_i", "h", "u")),
        ("square", transposed("W_f", "h", "i"))]

GRU = [*RECURRENT, *((f"gates.{a}{b}", gates(a, b)) for a, b in ("rz", "zn")),
       ("recurrent", transposed("U_n", "h", "u")), ("square", transposed("W_r", "h", "i"))]

FAULTS = {
    "dense": DENSE, "conv1": CONV, "conv2": CONV, "conv3": CONV, "rnn": RNN, "lstm": LSTM,
    "attention": ATTENTION, "layernorm": [*NORM, ("beta", without(("beta",), "offset")),
                                          ("kind", other_norm("rmsnorm"))],
    "rmsnorm": [*NORM, ("kind", other_norm("layernorm"))],
    "batchnorm": BATCHNORM,
    **dict.fromkeys(("groupnorm", "instancenorm"), [*NORM, ("beta", without(("beta",), "offset"))]),
    "embedding": [("token", off_by_one), ("square", transposed("table", "v", "d"))],
    "gru": GRU, "swiglu": SWIGLU, "add": SUM, "residual": SUM,
    **{f"avgpool{n}": [("kind", averaged), ("count", uncounted)] for n in (1, 2, 3)},
    **{f"maxpool{n}": [("kind", averaged)] for n in (1, 2, 3)},
    "global_avgpool": [("kind", other_global)], "global_maxpool": [("kind", other_global)],
    "relu": [("kind", renamed("tanh"))], "tanh": [("kind", renamed("sigmoid"))],
    "sigmoid": [("kind", renamed("tanh"))], "silu": [("kind", renamed("relu"))],
    "gelu": [("form", setting("approximate", ("none", "tanh"), ("tanh", "none")))],
    "leaky_relu": [("slope", setting("negative_slope", (0.01, 0.2), (0.2, 0.01)))],
    "softmax": [("kind", renamed("linear"))],
}
"""By operation: (name, what plants the mistake at a `Site`)."""
