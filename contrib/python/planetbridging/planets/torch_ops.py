"""The ATen operations that the stream has words for, a row each, from the tables by family.

Imported only when a PyTorch module is emitted.
"""

from __future__ import annotations

import torch

from . import (torch_attention, torch_create, torch_math, torch_modules, torch_nn, torch_norms,
               torch_products, torch_reduce, torch_shape)
from .torch_leaves import TARGET

OPERATIONS = {
    TARGET: torch_modules.leaf,
    **torch_math.OPERATIONS,
    **torch_shape.OPERATIONS,
    **torch_create.OPERATIONS,
    **torch_reduce.OPERATIONS,
    **torch_products.OPERATIONS,
    **torch_attention.OPERATIONS,
    **torch_norms.OPERATIONS,
    **torch_nn.OPERATIONS,
}

BROKEN_UP = ("addcdiv", "addcmul", "addmv", "addr", "channel_shuffle", "cosine_similarity",
             "diff", "linalg_norm", "logaddexp", "one_hot", "outer", "sinc", "tensor_split", "xlogy")
"""What torch's own decompositions turn into rows of the table."""

UNSPOKEN = {"alias", "lift_fresh_copy", "t", "embedding_renorm", "linalg_vector_norm", "mv", "copy"}
"""What no one writes, and what has a row only to say why it is refused."""

DECOMPOSED = {"contiguous", "dropout", "flatten", "norm", "reshape", "unflatten", *BROKEN_UP}
"""What has no row, because the trace or a decomposition turns it into others, or drops it."""


def decompositions(program) -> dict:
    """How to break up the calls of a program that are in BROKEN_UP; empty if there are none."""
    found = {node.target for node in program.graph.nodes if node.op == "call_function"}
    return {target: rule(target) for target in found
            if isinstance(target, torch._ops.OpOverload)
            and target.name().split("::")[1].split(".")[0] in BROKEN_UP}


def rule(target):
    """torch's decomposition of an operation: registered, or that of the operation itself."""
    registered = torch._decomp.decomposition_table.get(target)
    implicit = torch._C.DispatchKey.CompositeImplicitAutograd
    return registered or (lambda *args, **named: target._op_dk(implicit, *args, **named))


def supported() -> list[str]:
    """The operations of the table and the layers that are one word, by the names that people know."""
    words = {key.split(".")[1] for key in OPERATIONS if key.startswith("aten.")}
    unspoken = {word for word in words if word.startswith("_")} | UNSPOKEN
    return sorted(words - unspoken | DECOMPOSED) + torch_modules.supported()
