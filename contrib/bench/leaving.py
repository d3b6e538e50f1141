"""The ways by which people take weights out of Python and back today, each a contestant of its own.

leaving.py WAY GIVEN MADE obeys turns.py; with `once` behind it, it does it once and ends.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import turns


def state(path: Path) -> dict:
    """Tensors that are in memory, not in a mapped file."""
    from safetensors.torch import load_file
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def filled(tensors: dict):
    """What load_state_dict does: takes tensors over into those that a module has."""
    import torch
    own = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}

    def take(given: dict) -> None:
        for name, tensor in given.items():
            own[name].copy_(tensor)
    return take


def safetensors_save(given: Path, made: Path):
    from safetensors.torch import save_file
    tensors = state(given)
    return lambda: save_file(tensors, made)


def safetensors_load(given: Path, _made: Path):
    from safetensors.torch import load_file
    take = filled(load_file(given))
    return lambda: take(load_file(given))


def npz_save(given: Path, made: Path):
    import numpy as np
    arrays = {name: tensor.numpy() for name, tensor in state(given).items()}
    return lambda: np.savez(made, **arrays)


def npz_load(given: Path, _made: Path):
    import numpy as np
    return lambda: dict(np.load(given))


def onnx_save(given: Path, made: Path):
    """The dense layers of paths.chain."""
    import torch
    layers = [torch.nn.Linear(*reversed(w.shape), bias=False) for w in state(given).values()]
    for layer, w in zip(layers, state(given).values()):
        layer.weight.data = w
    network, x = torch.nn.Sequential(*layers).eval(), torch.ones(2, layers[0].in_features)
    sizes = ({0: torch.export.Dim("batch")},)

    def call() -> None:
        torch.onnx.export(network, (x,), made, dynamic_shapes=sizes, external_data=False, verbose=False)
    return call


def onnx_load(given: Path, made: Path):
    """Into a state dict on the disk."""
    import onnx
    import torch

    def call() -> None:
        there = onnx.load(given).graph.initializer
        torch.save({t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in there}, made)
    return call


def onnx_read(given: Path, _made: Path):
    import onnx
    return lambda: onnx.load(given)


def gguf_save(given: Path, made: Path, half: bool = False):
    import gguf
    import numpy as np
    arrays = {name: tensor.numpy() for name, tensor in state(given).items()}

    def call() -> None:
        writer = gguf.GGUFWriter(made, "llama")
        for name, a in arrays.items():
            writer.add_tensor(name, a.astype(np.float16) if half and a.ndim > 1 else a)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return call


def gguf_save_half(given: Path, made: Path):
    return gguf_save(given, made, half=True)


def gguf_load(given: Path, _made: Path):
    import gguf
    import numpy as np
    return lambda: {t.name: np.array(t.data) for t in gguf.GGUFReader(given).tensors}


def huggingface_save(given: Path, made: Path):
    import transformers
    network = transformers.AutoModelForCausalLM.from_pretrained(given)

    def call() -> None:
        shutil.rmtree(made, ignore_errors=True)
        network.save_pretrained(made)
    return call


def huggingface_load(given: Path, _made: Path):
    import transformers
    return lambda: transformers.AutoModelForCausalLM.from_pretrained(given)


PACKAGES = {"safetensors": ("safetensors", "torch"), "npz": ("numpy",), "onnx": ("onnx", "torch"),
            "gguf": ("gguf",), "huggingface": ("transformers",)}


def versions(way: str) -> str:
    from importlib.metadata import version
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES[way.split("_")[0]])


def main(way: str, given: str, made: str, once: str = "") -> None:
    call = globals()[way](Path(given), Path(made))
    if once:
        call()
    else:
        turns.obey(call, None, versions(way))


if __name__ == "__main__":
    main(*sys.argv[1:])
