"""What can be chosen about sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingOptions:
    """How values are drawn from the model's distributions. Raises ValueError for bad values."""

    temperature: float = 1.0
    """Log-probabilities are divided by it: below 1 likely values become likelier still."""
    top_p: float = 1.0
    """Draw among the likeliest values that together hold at least this share of the probability."""
    guidance: float = 1.0
    """Classifier-free guidance: log p = null + guidance · (conditional - null), renormalised."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be greater than 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be greater than 0 and at most 1, not {self.top_p}")
        if not math.isfinite(self.guidance):
            raise ValueError(f"guidance must be a finite number, not {self.guidance}")
