"""A judge that costs next to nothing."""

from ..evaluation.conftest import judge

__all__ = ["judge"]
