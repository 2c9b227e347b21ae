"""Speed and loss of a run, and its floating-point operations."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pixelgen.training.logs import RunProgress
from pixelgen.training.recipe import Recipe
from pixelgen.training.schedule import progress
from pixelgen.training.state import Counters

REPORT_SECONDS = 10.0


class Throughput:
    """Speed and loss over the steps since the last record, and the loss smoothed over more."""

    def __init__(self, flops: float, counters: Counters, name: str, unit: str) -> None:
        """`flops`: floating-point operations of the network per picture; `name` of the loss, and
        `unit` after its number."""
        self._flops, self._name, self._unit = flops, name, unit
        self._smooth = math.nan
        self._speed = self._norm = self._lr = 0.0
        self._restart(counters)

    def _restart(self, counters: Counters) -> None:
        self._losses: list[float] = []
        self._since = time.perf_counter()
        self._step, self._images = counters.step, counters.images

    def add(self, loss: float, norm: float, lr: float) -> None:
        """Adds a step: loss, norm of the gradient, learning rate."""
        self._norm, self._lr = norm, lr
        if math.isfinite(loss):
            self._losses.append(loss)
            first = math.isnan(self._smooth)
            self._smooth = loss if first else 0.98 * self._smooth + 0.02 * loss

    def _measure(self, counters: Counters) -> float:
        return (counters.images - self._images) / max(time.perf_counter() - self._since, 1e-9)

    def progress(self, recipe: Recipe, counters: Counters) -> RunProgress:
        """How far the run has come."""
        speed = self._speed or self._measure(counters)
        if recipe.schedule.steps:
            each = counters.images / max(counters.step, 1)
            left = (recipe.schedule.steps - counters.step) * each / max(speed, 1e-9)
        else:
            left = 60 * recipe.schedule.minutes - counters.seconds
        return RunProgress(
            step=counters.step,
            images=counters.images,
            share=progress(recipe.schedule, counters.step, counters.seconds),
            seconds_left=max(left, 0.0),
            images_per_second=speed,
            gflops=speed * self._flops / 1e9,
            loss=self._smooth,
            unit=self._unit,
            lr=self._lr,
            skipped=counters.skipped,
        )

    def record(self, counters: Counters, last: bool = False) -> dict[str, Any] | None:
        """The figures since the last record: None until enough time has passed, unless `last`."""
        due = last or time.perf_counter() - self._since >= REPORT_SECONDS
        if not due or counters.step == self._step:
            return None
        self._speed = self._measure(counters)
        values = {
            self._name: sum(self._losses) / len(self._losses) if self._losses else None,
            "images": counters.images,
            "seconds": counters.seconds,
            "images_per_second": self._speed,
            "gflops": self._speed * self._flops / 1e9,
            "gradient_norm": self._norm if math.isfinite(self._norm) else None,
            "lr": self._lr,
            "skipped": counters.skipped,
        }
        self._restart(counters)
        return values


def training_flops(objective: nn.Module, x: Tensor, *more: Tensor | None) -> float:
    """Floating-point operations per image of a forward and a backward pass, counted on the inputs
    `x` [B, …] and `more` of the objective."""
    objective = copy.deepcopy(objective)
    formulas = {torch.ops.aten.convolution_backward: _convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        objective(x, *more).backward()
    return counter.get_total_flops() / len(x)


def _convolution_backward_flops(
    grad_out: Sequence[int],
    x: Sequence[int],
    weight: Sequence[int],
    _bias: object,
    _stride: object,
    _padding: object,
    _dilation: object,
    transposed: bool,
    _output_padding: object,
    _groups: int,
    mask: Sequence[bool],
    **_more: object,
) -> int:
    """Of the gradients of input and weight that `mask` asks for, each as many as the convolution
    itself; the formula of torch takes grouped weights for as large as ungrouped ones."""
    batch, _, *positions = x if transposed else grad_out
    return 2 * batch * math.prod(positions) * math.prod(weight) * sum(mask[:2])
