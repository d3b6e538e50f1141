"""Layers that a framework has no class for, made of its own layers and operations."""
