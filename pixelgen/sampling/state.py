"""What a sampler is asked for, checked and laid out on the model's grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.pixelcnn import PixelCNN
from pixelgen.sampling.options import SamplingOptions
from pixelgen.sampling.threads import shares
from pixelgen.sampling.value_sampler import BELOW_ONE, Observer, ValueSampler

Model = GatedPixelCNN | PixelCNN
StepCallback = Callable[[int, int, Callable[[], Tensor]], None]
"""Told how many positions of the grid are drawn, of how many, and what returns the pictures so far,
[N, C, H, W]; the latter only while it runs."""

Cell = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]
"""Of one value in all pictures, [N, 1] each: its uniform numbers (at least 0, below 1), where the
value goes, where values are given these and the mask, and where its log-probability goes."""


@dataclass(frozen=True)
class Request:
    """One batch of N pictures to be drawn. The network runs on `rows` = N of them, or on 2N with
    guidance: first all with their condition, then all with the null condition."""

    model: Model
    condition: Condition
    """Of `rows` pictures, complete."""
    drawer: ValueSampler
    drawn: Tensor
    """[H, W, C, N, 1] the values drawn so far, zero elsewhere."""
    cells: list[list[list[Cell]]]
    """Views of everything about row i, column j, channel c of the grid."""
    log_prob: Tensor | None
    """[H, W, C, N, 1] float32, of the values drawn so far, as `drawn`; None if nobody asks."""
    copies: int
    """1, or 2 with guidance."""
    on_step: StepCallback | None

    @property
    def size(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the grid."""
        height, width, channels = self.drawn.shape[:3]
        return height, width, channels

    @property
    def rows(self) -> int:
        """Pictures that the network runs on."""
        return self.drawn.shape[3] * self.copies

    def doubled(self, values: Tensor) -> Tensor:
        """[N, …] → [rows, …]: the same values for both branches of guidance."""
        return values if self.copies == 1 else torch.cat((values, values))

    def grid(self) -> Tensor:
        """[N, C, H, W] the values drawn so far, a view."""
        return self.drawn[..., 0].permute(3, 2, 0, 1)

    def picture(self) -> Tensor:
        """The same as pictures."""
        return self.model.from_grid(self.grid().contiguous())

    def log_probabilities(self) -> Tensor | None:
        """[N, C, H, W]: of every value of the pictures, given all before it and the condition, in
        nats; None if nobody asked."""
        if self.log_prob is None:
            return None
        return self.model.from_grid(self.log_prob[..., 0].permute(3, 2, 0, 1).contiguous())

    def draw(self, i: int, j: int, c: int, parameters: Tensor) -> Tensor:
        """Draws (or takes, where it is known) and stores the value c, i, j of the grid.

        `parameters` [rows, C', P] of this position → the values [rows].
        """
        uniforms, value, known, mask, log_prob = self.cells[i][j][c]
        before = value
        if self.model.likelihood.coupled:
            before = self.doubled(self.drawn[i, j, :, :, 0].t())
        self.drawer(parameters, before, c, uniforms, out=value)
        if known is not None and mask is not None:
            torch.where(mask, known, value, out=value)
        if log_prob is not None:
            own = parameters[: len(value), c : c + 1]
            log_prob.copy_(self.model.likelihood.log_prob(own, value))
        return self.doubled(value.view(-1))

    def parts(self, count: int) -> list[Request]:
        """The same as `count` requests of about as many pictures each, which share their grid and
        report nothing."""
        return [self._part(some) for some in shares(self.drawn.shape[3], count)]

    def _part(self, some: slice) -> Request:
        n = self.drawn.shape[3]
        branches = [slice(some.start + n * k, some.stop + n * k) for k in range(self.copies)]
        return replace(
            self,
            condition=Condition.cat(*(self.condition[rows] for rows in branches)),
            drawn=self.drawn[:, :, :, some],
            cells=[
                [
                    [
                        (
                            uniforms[some],
                            value[some],
                            None if known is None else known[some],
                            None if mask is None else mask[some],
                            None if log_prob is None else log_prob[some],
                        )
                        for uniforms, value, known, mask, log_prob in channels
                    ]
                    for channels in row
                ]
                for row in self.cells
            ],
            on_step=None,
        )

    def _so_far(self, done: int) -> Tensor:
        """The first `done` positions as pictures; some parts may be further."""
        grid = self.grid().clone(memory_format=torch.contiguous_format)
        grid.flatten(2)[..., done:] = 0
        return self.model.from_grid(grid)

    def report(self, done: int) -> None:
        """Reports that `done` positions of the grid are drawn."""
        if self.on_step is not None:
            height, width, _ = self.size
            self.on_step(done, height * width, lambda: self._so_far(done))


def build_request(
    model: Model,
    condition: Condition | None,
    uniforms: Tensor,
    options: SamplingOptions,
    known: Tensor | None,
    known_mask: Tensor | None,
    on_step: StepCallback | None,
    observe: Observer | None,
    scored: bool = False,
) -> Request:
    """Checks everything and puts it on the model's device. Raises ValueError."""
    config = model.config
    device = model.mix.weight.device
    shape = (config.channels, config.height, config.width)
    if uniforms.dim() != 4 or uniforms.shape[1:] != shape or not len(uniforms):
        raise ValueError(f"uniforms must have the shape (n, {shape}), not {tuple(uniforms.shape)}")
    n = len(uniforms)
    if (known is None) != (known_mask is None):
        raise ValueError("known and known_mask go together")

    def place(x: Tensor) -> Tensor:
        grid = model.to_grid(x.to(device))
        return grid.permute(2, 3, 1, 0).unsqueeze(-1).contiguous()

    if known is not None and known_mask is not None:
        for name, given in (("known", known), ("known_mask", known_mask)):
            if given.shape not in (shape, (n, *shape)):
                raise ValueError(f"{name} must have the shape {shape} or {(n, *shape)}")
        known, known_mask = known.long().expand(n, *shape), known_mask.bool().expand(n, *shape)
        inside = known[known_mask]
        if inside.numel() and not 0 <= int(inside.min()) <= int(inside.max()) < config.levels:
            raise ValueError(f"known values must lie in 0 … {config.levels - 1}")
        known, known_mask = place(known), place(known_mask)

    # Without any condition both branches of guidance are the same.
    empty = condition is None or condition.empty
    guided = options.guidance != 1.0 and not empty
    complete = model.complete_condition(None if condition is None else condition.to(device), n)
    if guided:
        complete = Condition.cat(complete, model.null_condition(n))
    placed = place(uniforms.float().clamp(0.0, BELOW_ONE))
    drawn = torch.zeros_like(placed, dtype=torch.long)
    log_prob = torch.zeros_like(placed) if scored else None
    return Request(
        model=model,
        condition=complete,
        drawer=ValueSampler(model.likelihood, options, guided, observe),
        drawn=drawn,
        cells=_cells(placed, drawn, known, known_mask, log_prob),
        log_prob=log_prob,
        copies=2 if guided else 1,
        on_step=on_step,
    )


def _cells(
    uniforms: Tensor,
    drawn: Tensor,
    known: Tensor | None,
    mask: Tensor | None,
    log_prob: Tensor | None,
) -> list[list[list[Cell]]]:
    height, width, channels = drawn.shape[:3]
    flat: list[Sequence[Tensor | None]] = [
        [None] * (height * width * channels) if x is None else x.flatten(0, 2).unbind()
        for x in (uniforms, drawn, known, mask, log_prob)
    ]
    every = iter(cast("list[Cell]", list(zip(*flat, strict=True))))
    return [[[next(every) for _ in range(channels)] for _ in range(width)] for _ in range(height)]
