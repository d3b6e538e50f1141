"""transformers: a causal language model from a Hugging Face directory or a .gguf file."""

from __future__ import annotations

import os

import numpy as np

from ..graph import BridgeError, bind_inputs
from ..planets.signature import one_line
from . import quiet

PACKAGE = "torch transformers gguf"
MODULES = ("transformers", "torch")
READS = "a Hugging Face directory, or a .gguf file (input_ids and perhaps attention_mask to logits)"
SETTINGS = "CPU, 1 thread (--threads), float32, eager attention, eval mode, no cache"


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """The logits of all positions of all rows at once; nothing is fetched, no code of the directory runs."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    names = [name for name in ("input_ids", "attention_mask") if name in inputs] or ["input_ids"]
    given = bind_inputs(names, inputs)
    where = {"pretrained_model_name_or_path": model}
    if os.path.isfile(model):
        where = {"pretrained_model_name_or_path": os.path.dirname(os.path.abspath(model)),
                 "gguf_file": os.path.basename(model)}
    try:
        with quiet():
            network = transformers.AutoModelForCausalLM.from_pretrained(
                **where, dtype=torch.float32, attn_implementation="eager", local_files_only=True,
                trust_remote_code=False)
    except Exception as error:  # a file may be wrong in any way
        raise BridgeError(f"{model}: transformers refuses it: {one_line(error)}") from error
    try:
        with torch.no_grad():
            made = network.eval()(**{name: torch.from_numpy(np.array(array, np.int64))
                                     for name, array in given.items()}, use_cache=False)
    except Exception as error:  # so may its inputs
        raise BridgeError(f"{model}: transformers cannot run these inputs: {one_line(error)}") from error
    return {"logits": made.logits.numpy()}
