"""Ordinary networks of JAX: Flax modules that users write, and one that somebody trained."""

from __future__ import annotations

from pathlib import Path

from .fetch import fetch
from .row import Row, Spec

SEED = 20261126
WORDS = 97
CLASSES = 11
FLAX = ("jax", "flax")


def linen(name: str, source: str, make, *runs: dict[str, Spec]) -> Row:
    """(module, variables); `make` is given `flax_nets`."""
    def build():
        import jax

        from . import flax_nets

        module = make(flax_nets)
        example = {key: jax.numpy.zeros(spec.shape, float if spec.dtype == "float32" else int)
                   for key, spec in runs[0].items()}
        return module, jax.jit(module.init)(jax.random.key(SEED), **example)
    return Row(name, "jax", source, FLAX, build, runs)


def encoder():
    from flax import nnx

    from . import flax_nets

    net = flax_nets.Encoder(32, 2, 64, rngs=nnx.Rngs(SEED))
    net.eval()
    return net


def denoiser():
    from flax import serialization

    from . import flax_nets

    path = fetch("scico", "0.0.7", "scico/data/flax/dncnn6M.mpk", "91a4c184bd67a44b")
    return flax_nets.DnCnn(), serialization.msgpack_restore(Path(path).read_bytes())


def bilstm(nets):
    from flax.linen import OptimizedLSTMCell

    return nets.Tagger(OptimizedLSTMCell, WORDS, 16, 16, 7, layers=2, both=True)


def gru(nets):
    from flax.linen import GRUCell

    return nets.Tagger(GRUCell, WORDS, 16, 16, 7)


def ids(*shapes: tuple[int, int], words: int = WORDS) -> list[dict[str, Spec]]:
    return [{"ids": Spec(shape, "int64", words)} for shape in shapes]


def floats(*shapes: tuple[int, ...]) -> list[dict[str, Spec]]:
    return [{"x": Spec(shape)} for shape in shapes]


ROWS = (
    linen("residual_cnn", "flax.linen.Conv and BatchNorm with skips",
          lambda nets: nets.ResidualCnn(CLASSES), *floats((2, 32, 32, 3), (3, 32, 32, 3))),
    linen("causal_transformer", "flax.linen.MultiHeadDotProductAttention(2) with two masks",
          lambda nets: nets.Language(9, 32, 16), *ids((2, 5), (3, 8), words=9)),
    Row("nnx_encoder", "jax", "flax.nnx.MultiHeadAttention(2, 32)", FLAX, encoder,
        tuple(floats((2, 5, 32), (3, 8, 32)))),
    linen("bilstm_tagger", "flax.linen.Bidirectional(RNN(OptimizedLSTMCell(16)), ...)", bilstm,
          *ids((2, 6), (3, 9))),
    linen("gru_tagger", "flax.linen.RNN(GRUCell(16))", gru, *ids((2, 6), (3, 9))),
    Row("dncnn", "jax", "scico 0.0.7: scico/data/flax/dncnn6M.mpk", FLAX, denoiser,
        tuple(floats((2, 16, 16, 1), (3, 16, 16, 1))), trained=True),
)
