"""llama.cpp's own C interface, as the package xllamacpp brings it, without any source of ours.

Its parameter structures are passed by value and only ever filled in by its own default functions, so that
their layout, which changes from release to release, need not be known: they stand in blocks larger than any.
"""
import ctypes
import glob
import importlib.util
import os

import gguf
import numpy as np


class Opaque(ctypes.Structure):
    """Larger than any of its structures: what lies behind the real one is not read."""

    _fields_ = [("bytes", ctypes.c_uint64 * 128)]


class Batch(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)),
                ("embedding", ctypes.c_void_p), ("position", ctypes.POINTER(ctypes.c_int32)),
                ("sequences", ctypes.POINTER(ctypes.c_int32)),
                ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
                ("wanted", ctypes.POINTER(ctypes.c_int8))]


QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def library():
    """The shared object, or None where the package is not installed."""
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None:
        return None
    found = glob.glob(os.path.join(os.path.dirname(spec.origin), "xllamacpp*.so"))
    lib = ctypes.CDLL(found[0])
    lib.llama_model_default_params.restype = Opaque
    lib.llama_context_default_params.restype = Opaque
    lib.llama_model_load_from_file.restype = ctypes.c_void_p
    lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Opaque]
    lib.llama_init_from_model.restype = ctypes.c_void_p
    lib.llama_init_from_model.argtypes = [ctypes.c_void_p, Opaque]
    lib.llama_model_get_vocab.restype = ctypes.c_void_p
    lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    lib.llama_vocab_n_tokens.argtypes = [ctypes.c_void_p]
    lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32,
                                   ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool,
                                   ctypes.c_bool]
    lib.llama_batch_init.restype = Batch
    lib.llama_decode.argtypes = [ctypes.c_void_p, Batch]
    lib.llama_get_logits_ith.restype = ctypes.POINTER(ctypes.c_float)
    lib.llama_get_logits_ith.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    lib.llama_free.argtypes = [ctypes.c_void_p]
    lib.llama_model_free.argtypes = [ctypes.c_void_p]
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


class Model:
    def __init__(self, lib, path):
        self.lib, self.said = lib, []
        self.log = QUIET(lambda level, text, _: self.said.append(text.decode(errors="replace")))
        lib.llama_log_set(self.log, None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not self.model:
            raise ValueError("llama.cpp does not load it: " + "".join(self.said)[-300:])
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocab)

    def tokens(self, text):
        """Ids of a text, special tokens in it read as such and none added."""
        data, room = text.encode(), (ctypes.c_int32 * (len(text) + 16))()
        n = self.lib.llama_tokenize(self.vocab, data, len(data), room, len(room), False, True)
        return list(room[:n])

    def logits(self, tokens):
        """Logits after each of the tokens, in one batch of a context of their own."""
        context = self.lib.llama_init_from_model(self.model, self.lib.llama_context_default_params())
        batch = self.lib.llama_batch_init(len(tokens), 0, 1)
        batch.n = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.position[i], batch.sequences[i] = token, i, 1
            batch.sequence[i][0], batch.wanted[i] = 0, 1
        if self.lib.llama_decode(context, batch) != 0:
            raise ValueError("llama.cpp does not decode: " + "".join(self.said)[-300:])
        rows = [np.ctypeslib.as_array(self.lib.llama_get_logits_ith(context, i), (self.size,)).copy()
                for i in range(len(tokens))]
        self.lib.llama_batch_free(batch)
        self.lib.llama_free(context)
        return np.stack(rows)

    def close(self):
        self.lib.llama_model_free(self.model)
