"""The primitives of JAX that have a word in the stream, each a function of the walk and a step."""

from __future__ import annotations

from . import jax_index, jax_math, jax_moves, jax_products, jax_reduce, jax_scatter, jax_windows
from .jax_layers import emit_layer

PRIMITIVES = {
    "planetbridging_leaf": emit_layer, **jax_math.PRIMITIVES, **jax_moves.PRIMITIVES,
    **jax_reduce.PRIMITIVES, **jax_windows.PRIMITIVES, **jax_products.PRIMITIVES,
    **jax_index.PRIMITIVES, **jax_scatter.PRIMITIVES,
}

MOVES = {*jax_moves.PRIMITIVES, *jax_index.PRIMITIVES, "convert_element_type", "select_n",
         "scatter", "dynamic_update_slice"}
"""What moves elements and computes nothing: integers of any width may wrap around nowhere."""
