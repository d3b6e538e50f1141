"""Ordinary networks: models that frameworks and packages ship, taken the whole path and judged.

Each is built by the source that users build it by, its weights drawn anew from a written seed so that
its numbers can fail, or kept where somebody trained it.
"""
