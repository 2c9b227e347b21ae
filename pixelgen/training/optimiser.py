"""The optimiser, and the moving average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pixelgen.training.recipe import OptimiserRecipe


def build_optimiser(
    model: nn.Module, recipe: OptimiserRecipe, critic: nn.Module | None = None
) -> torch.optim.AdamW:
    """AdamW; only filters and matrices of layers have weight decay.

    A `critic` has the learning rate of the model. The "rate" of a group multiplies its learning
    rate: see the model's `learning_rates`.
    """
    layers = (nn.Linear, nn.modules.conv._ConvNd)
    decayed = {id(m.weight) for m in model.modules() if isinstance(m, layers)}
    rates: dict[str, float] = getattr(model, "learning_rates", dict)()
    groups = [
        {
            "params": [
                p
                for name, p in model.named_parameters()
                if (id(p) in decayed) == decays and rates.get(name, 1.0) == rate
            ],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "rate": rate,
        }
        for decays in (True, False)
        for rate in sorted({1.0, *rates.values()})
    ]
    if critic is not None:
        groups.append({"params": [*critic.parameters()], "weight_decay": 0.0, "rate": 1.0})
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        fused=fused,
    )


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """The moving average of the weights; its decay rises with the number of updates."""

    def update(ema: Any, current: Any, count: Any) -> None:
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(ema, current, count)

    return AveragedModel(model, multi_avg_fn=update)
