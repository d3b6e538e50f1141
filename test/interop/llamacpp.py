"""llama.cpp's own C interface beyond what the runner needs: its quantisers and its tokenizer."""
import ctypes
import importlib.util
import pathlib
import sys

import gguf
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "contrib" / "python"))

from planetbridging.runners import llama_cpp


def library():
    """The shared object, or None where the package is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    return declared(llama_cpp.library())


def declared(lib):
    """A loaded library with the types of the functions that are called here; each that is loaded has its own."""
    lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32,
                                   ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool,
                                   ctypes.c_bool]
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    return lib


def quantised(lib, kind, x):
    """Rows of float32 as ggml's own quantiser makes them, a row of bytes each."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.zeros(x.size // values * size, np.uint8)
    lib.ggml_quantize_chunk(ctypes.c_int(kind), np.ascontiguousarray(x).ctypes.data_as(ctypes.c_void_p),
                            out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
                            ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]), None)
    return out.reshape(x.shape[0], -1)


class Model(llama_cpp.Model):
    """The runner's, which computes logits, and what else the tests ask."""

    def __init__(self, path):
        super().__init__(path)
        declared(self.lib)

    def tokens(self, text):
        """Ids of a text, special tokens in it read as such and none added."""
        vocab = self.lib.llama_model_get_vocab(self.model)
        data, room = text.encode(), (ctypes.c_int32 * (len(text) + 16))()
        n = self.lib.llama_tokenize(vocab, data, len(data), room, len(room), False, True)
        return list(room[:n])
