"""JAX: shapes, parts, indexing and writing, each against JAX at other sizes."""

from __future__ import annotations

import numpy as np
import pytest
from flax_held import ANY, floats, held, ids
from jax_networks import drawn, jax, jnp, nn, operations, problems_of
from test_jax_math import network

from planetbridging import BridgeError, planets

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")
lax = jax.lax


def test_shapes(streamed):
    net = network(
        flat=lambda x: x.reshape(x.shape[0], -1), turned=lambda x: x.transpose(2, 0, 1),
        less=lambda x: jnp.squeeze(x[:, :1], 1), more=lambda x: x[:, None],
        join=lambda x: jnp.concatenate([x, x * 2], 1), stack=lambda x: jnp.stack([x, -x], 1),
        split=lambda x: jnp.split(x, 2, axis=2)[1], tile=lambda x: jnp.tile(x, (1, 2, 3)),
        repeat=lambda x: jnp.repeat(x, 2, axis=1), moved=lambda x: jnp.moveaxis(x, 1, 2),
        ravel=lambda x: x.ravel(), diff=lambda x: jnp.diff(x, axis=1),
        spread=lambda x: jnp.broadcast_to(x[:, :1], x.shape),
        eye=lambda x: x[:, :3, :3] + jnp.eye(3),
        twos=lambda x: jnp.full_like(x, 2), ones=lambda x: jnp.ones((x.shape[0], 2)))
    held(streamed, net, floats(2, 3, 4), floats(5, 3, 4, seed=1), untapped=ANY)


def test_padding(streamed):
    sides = ((0, 0), (1, 2), (2, 1))
    net = network(
        constant=lambda x: jnp.pad(x, sides, constant_values=3.0),
        reflect=lambda x: jnp.pad(x, sides, mode="reflect"),
        wrap=lambda x: jnp.pad(x, sides, mode="wrap"),
        edge=lambda x: jnp.pad(x, sides, mode="edge"),
        less=lambda x: lax.pad(x, 0.0, ((0, 0, 0), (-1, 1, 0), (-1, -1, 0))),
        apart=lambda x: lax.pad(x, 7.0, ((0, 0, 0), (1, 0, 2), (-1, 0, 1))),
        truth=lambda x: jnp.pad(x > 0, sides, constant_values=True))
    held(streamed, net, floats(2, 3, 4), floats(5, 3, 4, seed=1), untapped=ANY, loom=False)


def test_for_any_length(streamed):
    net = network(
        back=lambda x: x[:, ::-1], flip=lambda x: jnp.flip(x, (1, 2)), tail=lambda x: x[:, 1:],
        end=lambda x: x[:, -1], steps=lambda x: x[:, :-1] - x[:, 1:],
        places=lambda x: x + jnp.arange(x.shape[1])[None, :, None],
        token=lambda x: jnp.concatenate([jnp.ones((x.shape[0], 1, 4)), x], 1),
        mask=lambda x: jnp.tril(jnp.ones((x.shape[1], x.shape[1]))), size=lambda x: x / x.shape[1],
        shift=lambda x: jnp.pad(x, ((0, 0), (2, 0), (0, 0))),
        sines=lambda x: x * jnp.sin(jnp.arange(x.shape[1], dtype=x.dtype) / 8)[:, None])
    document = held(streamed, net, floats(2, 3, 4), floats(3, 6, 4, seed=1), untapped=ANY)
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 4]


def indices(n):
    rng = np.random.default_rng(n)
    return floats(n, 5, 4, seed=n) | {
        "i": rng.integers(-4, 4, (n, 3)), "j": rng.integers(0, 4, (n, 2, 4)),
        "k": np.array(rng.integers(0, 5))}


def test_indexing(streamed):
    table = drawn(jnp.ones((5, 3)))

    def call(p, x, i, j, k):
        return {
            "fancy": x[:, jnp.array([3, 0, 0])], "take": jnp.take(x, jnp.array([2, 1]), axis=1),
            "along": jnp.take_along_axis(x, j, 1), "rows": x[jnp.arange(x.shape[0]), i[:, 0]],
            "each": jax.vmap(lambda row, q: row[q])(x, i), "axis": x[:, i[0]],
            "two": x[:, [0, 2], [1, 3]], "both": x[:, i[0], i[1]], "place": x[:, k],
            "slice": lax.dynamic_slice_in_dim(x, k, 2, 1),
            "known": lax.dynamic_slice(x, (0, 9, 1), (x.shape[0], 2, 2)),
            "clip": jnp.take(x, jnp.array([7, 1]), axis=1, mode="clip"),
            "wrap": jnp.take(x, i + 10, axis=1, mode="wrap"),
            "best": jnp.take_along_axis(x, jnp.argmax(x, 1, keepdims=True), 1),
            "cut": x[:, 1:3, jnp.array([0, 2])], "grid": x[..., jnp.array([[0, 1], [2, 3]])],
            "strided": x[:, jnp.array([0, 2, 4])], "embedded": p["t"][i],
            "clipped": jnp.take(p["t"], i, axis=0, mode="clip"), "hot": jax.nn.one_hot(i, 5)}

    document = held(streamed, (call, {"t": table}), indices(7), indices(6), untapped=ANY,
                    loom=False)
    embeddings = [n["params"] for n in document.nodes if n["op"] == "embedding"]
    assert [p["wrap"] for p in embeddings] == [True, False]
    assert document.entry("embedding", "table")["source"] == "t"


def test_rows_of_tables_under_vmap(streamed):
    """What Equinox's Embedding does: a slice at a computed place, for each token of each sample."""
    def batch(n, length):
        return ids(n, length, vocabulary=5, seed=n)

    def rows(p, ids):
        return jax.vmap(jax.vmap(lambda i: lax.dynamic_index_in_dim(
            p["t"], i, keepdims=False)))(ids)

    document = held(streamed, (rows, {"t": drawn(jnp.ones((5, 3)))}), batch(2, 4), batch(3, 6),
                    untapped=ANY)
    assert operations(document)[-3:] == ["embedding", "reshape", "reshape"]

    def windows(p, ids):
        return jax.vmap(lambda i: lax.dynamic_slice(p["t"], (i, 0), (2, 3)))(ids[:, 0])
    assert problems_of((windows, {"t": jnp.ones((5, 3))}), batch(2, 4)) == [
        ("the model", "windows", "gather of windows at computed places")]


def test_taps_are_those_of_the_example(streamed):
    """Sizes that are equal where the taps are taken, and were not where the graph was made."""
    def call(p, x, y):
        return {"joined": jnp.concatenate([x, y], 1) * jnp.arange(x.shape[1] + y.shape[1])[:, None],
                "summed": x.sum(1) - y.max(1), "last": x[:, -1] + y[:, 0] * 0.5}

    def batch(n, left, right):
        return floats(n, left, 4, seed=n) | floats(n, right, 4, seed=n + 1, name="y")

    net = (call, {})
    held(streamed, net, batch(2, 5, 6), batch(3, 7, 7), untapped=ANY)
    with pytest.raises(BridgeError, match=r"^input y: shape \[3, 8, 4\] does not fit the graph, "
                                          r"expected \[batch, d1, 4\]$"):
        planets.module("jax").taps((lambda p, x, y: x + y, {}), batch(3, 7, 8), "float32",
                                   batch(2, 5, 5))


def test_modules_that_depend_on_the_precision_are_no_taps():
    class Net(nn.Module):
        def setup(self):
            self.one, self.two = nn.Dense(4), nn.Dense(4)

        def __call__(self, x):
            return self.one(x) if x.dtype == jnp.float32 else self.two(x)

    net, x = Net(), floats(2, 4)
    variables = net.init(jax.random.key(0), x["x"], method=lambda net, x: net.one(net.two(x)))
    assert set(planets.module("jax").taps((net, variables), x)) == {"y"}
    with pytest.raises(BridgeError, match="^Net calls other modules for these inputs, or in this "
                                          "precision, than for its graph: two stands for one$"):
        planets.module("jax").taps((net, variables), x, "float64")


def test_writing_at_known_places(streamed):
    def batch(n):
        return floats(n, 5, 4, seed=n) | floats(n, 5, 4, seed=n + 1, name="y")

    net = network(
        one=lambda x, y: x.at[:, 1].set(0.0),
        two=lambda x, y: x.at[:, jnp.array([3, 0])].set(y[:, :2]),
        window=lambda x, y: x.at[:, 1:3].add(2.0), row=lambda x, y: x.at[:, 1].add(y[:, 0]),
        repeated=lambda x, y: x.at[:, jnp.array([1, 1, 2])].add(y[:, :3]),
        last_wins=lambda x, y: x.at[:, jnp.array([1, 1])].set(y[:, :2]),
        element=lambda x, y: x.at[:, 0, 1].set(5.0), end=lambda x, y: x.at[:, -1].set(y[:, 0]),
        pairs=lambda x, y: x.at[:, jnp.array([0, 1]), jnp.array([2, 3])].mul(2.0),
        block=lambda x, y: x.at[:, 2:4, 1:3].set(1.0),
        most=lambda x, y: x.at[..., 0].max(y[..., 0]),
        least=lambda x, y: x.at[:, 2].min(y[:, 2]), every=lambda x, y: x.at[:, ::2].set(0.0),
        slice=lambda x, y: lax.dynamic_update_slice(x, y[:, :2, :2], (0, 9, 1)),
        outside=lambda x, y: x.at[:, jnp.array([9, 1])].set(y[:, :2]))
    held(streamed, net, batch(2), batch(3), untapped=ANY)


@pytest.mark.parametrize("call, problem", [
    (lambda p, x, i: x.at[:, i].set(0.0), "scatter with indices that are computed"),
    (lambda p, x, i: lax.dynamic_update_slice(x, x[:, :2], (0, i[0], 0)),
     "dynamic_update_slice at a computed place")])
def test_writing_at_computed_places_is_refused(call, problem):
    assert problems_of((call, {}), floats(2, 5, 4) | {"i": np.array([0, 1, 1])}) == [
        ("the model", "<lambda>", problem)]


def test_an_index_is_never_moved_in_silence(streamed):
    """JAX makes NaN of it, the stream refuses it: within the axis both agree."""
    net = (lambda p, x, i: jnp.take(x, i, axis=1), {})
    document = held(streamed, net, floats(2, 5, 4) | {"i": np.array([0, 4])})
    assert operations(document) == ["gather"]
