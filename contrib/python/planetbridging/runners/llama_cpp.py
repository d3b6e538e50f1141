"""llama.cpp: a .gguf file, by its own C interface as the package xllamacpp brings it.

Its parameter structures are passed by value and filled in by its own default functions, so that their
layout, which changes from release to release, need not be known: they stand in blocks larger than any.
Keys and values are kept in float16 by default.  The two words that say so are found by what stands
around them, and its own report says whether float32 was understood.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
import warnings

import numpy as np

from ..graph import BridgeError, BridgeWarning, MachineError, bind_inputs

PACKAGE = "xllamacpp"
MODULES = ("xllamacpp",)
READS = "a .gguf file (input_ids to logits)"
SETTINGS = "CPU, 1 thread (--threads), keys and values in float32, attention not fused, each row in a context of its own"

FLOAT16, FLOAT32 = 1, 0
"""What ggml calls these types."""


class Opaque(ctypes.Structure):
    """Larger than any of its structures: what lies behind the real one is not read."""

    _fields_ = [("bytes", ctypes.c_uint64 * 128)]


class Batch(ctypes.Structure):
    """llama_batch, which has been the same for long."""

    _fields_ = [("n", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)),
                ("embedding", ctypes.c_void_p), ("position", ctypes.POINTER(ctypes.c_int32)),
                ("sequences", ctypes.POINTER(ctypes.c_int32)),
                ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
                ("wanted", ctypes.POINTER(ctypes.c_int8))]


QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

TYPES = {"llama_model_default_params": (Opaque, []),
         "llama_context_default_params": (Opaque, []),
         "llama_model_load_from_file": (ctypes.c_void_p, [ctypes.c_char_p, Opaque]),
         "llama_init_from_model": (ctypes.c_void_p, [ctypes.c_void_p, Opaque]),
         "llama_model_get_vocab": (ctypes.c_void_p, [ctypes.c_void_p]),
         "llama_vocab_n_tokens": (ctypes.c_int32, [ctypes.c_void_p]),
         "llama_set_n_threads": (None, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32]),
         "llama_batch_init": (Batch, [ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]),
         "llama_batch_free": (None, [Batch]),
         "llama_decode": (ctypes.c_int32, [ctypes.c_void_p, Batch]),
         "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
         "llama_free": (None, [ctypes.c_void_p]),
         "llama_model_free": (None, [ctypes.c_void_p])}
"""(result, arguments) of the functions that are called."""


def library() -> ctypes.CDLL:
    """The shared object inside the package."""
    folder = os.path.dirname(importlib.util.find_spec("xllamacpp").origin)
    found = glob.glob(os.path.join(folder, "xllamacpp*.so"))
    if not found:
        raise MachineError(f"{folder}: this release of xllamacpp has no shared object xllamacpp*.so")
    lib = ctypes.CDLL(found[0])
    for name, (result, arguments) in TYPES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def single(parameters: Opaque) -> bool:
    """Ask for keys and values in float32, and for attention that is not fused, which computes in halves.

    False if the words for it are not found.  Types are the one pair of float16 behind two empty pointers, a
    callback and what it is given; fused attention is the last of the four words that are -1, "choose".
    """
    words = (ctypes.c_int32 * 256).from_buffer(parameters)
    types = [i for i in range(4, 64) if list(words[i - 4:i + 2]) == [0, 0, 0, 0, FLOAT16, FLOAT16]]
    choices = [i for i in range(64) if list(words[i:i + 4]) == [-1, -1, -1, -1]]
    if len(types) != 1 or len(choices) != 1:
        return False
    words[types[0]] = words[types[0] + 1] = FLOAT32
    words[choices[0] + 3] = 0
    return True


class Model:
    """A loaded file; `said` is what llama.cpp had to say meanwhile."""

    def __init__(self, path: str, threads: int = 1):
        self.lib, self.said, self.path, self.threads = library(), [], path, threads
        self.log = QUIET(lambda level, text, _: self.said.append(text.decode(errors="replace")))
        self.lib.llama_log_set(self.log, None)
        self.lib.llama_backend_init()
        self.model = self.lib.llama_model_load_from_file(os.fsencode(path),
                                                         self.lib.llama_model_default_params())
        if not self.model:
            raise BridgeError(f"{path}: llama.cpp refuses it: {self.last()}")
        self.size = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model))

    def last(self) -> str:
        """Its last line that tells of an error, or its last."""
        lines = [line.strip() for line in "".join(self.said).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        return (errors or lines or ["it does not say why"])[0]

    def logits(self, tokens) -> np.ndarray:
        """Logits after each of the tokens, in one batch of a context of their own."""
        lib, parameters = self.lib, self.lib.llama_context_default_params()
        asked = single(parameters)
        context = lib.llama_init_from_model(self.model, parameters)
        if not context:
            raise BridgeError(f"{self.path}: llama.cpp makes no context for it: {self.last()}")
        if not asked or "K (f32)" not in "".join(self.said):
            warnings.warn("this release of llama.cpp keeps keys and values in float16", BridgeWarning,
                          stacklevel=2)
        lib.llama_set_n_threads(context, self.threads, self.threads)
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        try:
            return self._decoded(context, batch, tokens)
        finally:
            lib.llama_batch_free(batch)
            lib.llama_free(context)

    def _decoded(self, context, batch: Batch, tokens) -> np.ndarray:
        batch.n = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.position[i], batch.sequences[i] = int(token), i, 1
            batch.sequence[i][0], batch.wanted[i] = 0, 1
        if self.lib.llama_decode(context, batch) != 0:
            raise BridgeError(f"{self.path}: llama.cpp cannot run these inputs: {self.last()}")
        row = lambda i: np.ctypeslib.as_array(self.lib.llama_get_logits_ith(context, i), (self.size,))  # noqa: E731
        return np.stack([row(i).copy() for i in range(len(tokens))])

    def close(self) -> None:
        """Free the model."""
        self.lib.llama_model_free(self.model)


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """Logits [batch, length, vocabulary]; all rows are whole, padding is not known here."""
    ids = bind_inputs(["input_ids"], inputs)["input_ids"]
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or not ids.size:
        raise BridgeError(f"input_ids is {ids.dtype.name} {list(ids.shape)}, expected integers [batch, length]")
    loaded = Model(model, threads)
    try:
        if ids.min() < 0 or ids.max() >= loaded.size:
            raise BridgeError(f"input_ids are from {ids.min()} to {ids.max()}, the vocabulary has {loaded.size}")
        return {"logits": np.stack([loaded.logits(row) for row in ids])}
    finally:
        loaded.close()
