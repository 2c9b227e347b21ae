"""What is minimised, what it costs, and the exact figure over many pictures."""

from __future__ import annotations

import copy
import math

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pixelgen.models.conditioning import Condition


class BitsPerDimLoss(nn.Module):
    """Mean negative log-likelihood of a batch, in bits per dimension (section 2, equation 1).

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, C, H, W], classes int64 [B], vector [B, D], of which those are left out where
        `dropped` bool [B] is true → a number."""
        if vector is not None and dropped is not None:
            given = Condition(vector=vector)
            vector = self.model.drop_condition(given, dropped).vector  # type: ignore[operator]
        condition = None
        if classes is not None or vector is not None:
            condition = Condition(classes, vector)
        log_prob: Tensor = self.model.log_prob(x, condition)  # type: ignore[operator]
        return log_prob.mean() / -math.log(2.0)


def training_flops(objective: nn.Module, x: Tensor, *more: Tensor | None) -> float:
    """Floating-point operations per picture of a forward and a backward pass, counted on `x` and
    what else the objective takes."""
    objective = copy.deepcopy(objective)
    with FlopCounterMode(display=False) as counter:
        objective(x, *more).backward()
    return counter.get_total_flops() / len(x)
