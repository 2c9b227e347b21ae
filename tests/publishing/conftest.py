"""A run on small pictures, to publish."""

from ..training.conftest import data, one_thread, recipe_file

__all__ = ["data", "one_thread", "recipe_file"]
