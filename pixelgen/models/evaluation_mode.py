"""Networks in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from pixelgen.models.autoregressive import AutoregressiveModel


@contextmanager
def evaluating(model: nn.Module | AutoregressiveModel) -> Iterator[None]:
    """A context in which `model` is in evaluation mode; afterwards, also after an error, it is in
    the mode that it was in before."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
