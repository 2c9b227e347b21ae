"""One sampling job, checked and laid out on the model's grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.models.autoregressive import AutoregressiveModel
from pixelgen.models.conditioning import Condition
from pixelgen.sampling.options import SamplingOptions
from pixelgen.sampling.threads import shares
from pixelgen.sampling.value_sampler import BELOW_ONE, Observer, ValueSampler

StepCallback = Callable[[int, int, Callable[[], Tensor]], None]
"""Called with the number of sampled positions of the grid, their total, and a function that returns
the pictures so far, [N, C, H, W], and may be called only before the callback returns."""


class Cell(NamedTuple):
    """Everything about one value of the grid in all N pictures: views [N, 1]."""

    uniforms: Tensor
    """Random numbers, at least 0 and below 1."""
    values: Tensor
    """Where the sampled values go."""
    known: Tensor | None
    """The known values, if any."""
    known_mask: Tensor | None
    """True where `known` counts."""
    log_prob: Tensor | None
    """Where the log-probabilities go, if they are asked for."""

    def select(self, pictures: slice) -> Cell:
        """The same for some of the pictures."""
        return Cell(
            self.uniforms[pictures],
            self.values[pictures],
            *(None if view is None else view[pictures] for view in self[2:]),
        )


@dataclass(frozen=True)
class Request:
    """A batch of N pictures to sample. The network runs on `rows` = N of them, or on 2N with
    guidance: first all with their condition, then all with the null condition."""

    model: AutoregressiveModel
    condition: Condition
    """Of `rows` pictures, complete."""
    value_sampler: ValueSampler
    values: Tensor
    """[H, W, C, N, 1] the values sampled so far, zero elsewhere."""
    cells: list[list[list[Cell]]]
    """By row, column and channel of the grid."""
    log_prob: Tensor | None
    """[H, W, C, N, 1] float32, of the values sampled so far; None if they are not asked for."""
    branches: int
    """1, or 2 with guidance."""
    on_step: StepCallback | None
    stage: tuple[float, float] = (0.0, 1.0)
    """Where sampling starts and ends among all of a call, of which it may be a part."""

    @property
    def size(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the grid."""
        height, width, channels = self.values.shape[:3]
        return height, width, channels

    @property
    def pictures(self) -> int:
        """N, the pictures to sample."""
        return self.values.shape[3]

    @property
    def rows(self) -> int:
        """Rows of the batch that the network runs on."""
        return self.pictures * self.branches

    def for_network(self, values: Tensor) -> Tensor:
        """[N, …] → [rows, …]: the same values for both branches of guidance."""
        return values if self.branches == 1 else torch.cat((values, values))

    def grid(self) -> Tensor:
        """The values sampled so far as grids, a view [N, C, H, W]."""
        return self.values[..., 0].permute(3, 2, 0, 1)

    def picture(self) -> Tensor:
        """The values sampled so far as pictures, [N, C, H, W]."""
        return self.model.from_grid(self.grid().contiguous())

    def log_probabilities(self) -> Tensor | None:
        """[N, C, H, W]: of every value of the pictures, given all before it and the condition, in
        nats; None if they are not asked for."""
        if self.log_prob is None:
            return None
        return self.model.from_grid(self.log_prob[..., 0].permute(3, 2, 0, 1).contiguous())

    def sample_value(self, i: int, j: int, c: int, parameters: Tensor) -> Tensor:
        """Samples (or takes, where it is known) and stores the value of channel c at row i, column
        j of the grid.

        `parameters` [rows, C', P] of this position → the values [rows].
        """
        uniforms, value, known, known_mask, log_prob = self.cells[i][j][c]
        before = value
        if self.model.likelihood.coupled:
            before = self.for_network(self.values[i, j, :, :, 0].t())  # [rows, C]
        height, width, _ = self.size
        start, end = self.stage
        share = start + (end - start) * (i * width + j) / (height * width)
        self.value_sampler(parameters, before, c, uniforms, value, share)
        if known is not None and known_mask is not None:
            torch.where(known_mask, known, value, out=value)
        if log_prob is not None:
            own = parameters[: len(value), c : c + 1]
            log_prob.copy_(self.model.likelihood.log_prob(own, value))
        return self.for_network(value.view(-1))

    def split(self, count: int) -> list[Request]:
        """The same as `count` requests of about as many pictures each, which share their grid and
        do not report."""
        return [self._part(pictures) for pictures in shares(self.pictures, count)]

    def _part(self, pictures: slice) -> Request:
        n = self.pictures
        branches = [
            slice(pictures.start + n * k, pictures.stop + n * k) for k in range(self.branches)
        ]
        return replace(
            self,
            condition=Condition.cat(*(self.condition[rows] for rows in branches)),
            values=self.values[:, :, :, pictures],
            cells=[
                [[cell.select(pictures) for cell in column] for column in row] for row in self.cells
            ],
            on_step=None,
        )

    def _pictures_until(self, done: int) -> Tensor:
        """The pictures with only the first `done` positions; some threads may have more."""
        grid = self.grid().clone(memory_format=torch.contiguous_format)
        grid.flatten(2)[..., done:] = 0
        return self.model.from_grid(grid)

    def report(self, done: int) -> None:
        """Reports that `done` positions of the grid are sampled. Those before the positions of the
        picture, which a model of two scales has, count as none."""
        if self.on_step is not None:
            height, width, _ = self.size
            config, total = self.model.config, height * width
            before = max(total - config.grid_height * config.grid_width, 0)
            self.on_step(max(done - before, 0), total - before, lambda: self._pictures_until(done))


def build_request(
    model: AutoregressiveModel,
    condition: Condition | None,
    uniforms: Tensor,
    options: SamplingOptions,
    known: Tensor | None = None,
    known_mask: Tensor | None = None,
    on_step: StepCallback | None = None,
    observe: Observer | None = None,
    scored: bool = False,
) -> Request:
    """Checks all arguments (see `sample`) and moves them to the model's device.

    Raises ValueError for shapes, values or conditions that do not fit the model.
    """
    config = model.config
    device = next(model.parameters()).device
    shape = (config.channels, config.height, config.width)
    if uniforms.dim() != 4 or uniforms.shape[1:] != shape or not len(uniforms):
        raise ValueError(f"uniforms must have the shape (n, {shape}), not {tuple(uniforms.shape)}")
    n = len(uniforms)
    if (known is None) != (known_mask is None):
        raise ValueError("known and known_mask go together")

    def place(x: Tensor) -> Tensor:
        """[n, C, H, W] → on the grid, [H, W, C, n, 1]."""
        grid = model.to_grid(x.to(device))
        return grid.permute(2, 3, 1, 0).unsqueeze(-1).contiguous()

    if known is not None and known_mask is not None:
        for name, tensor in (("known", known), ("known_mask", known_mask)):
            if tensor.shape not in (shape, (n, *shape)):
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
    values = torch.zeros_like(placed, dtype=torch.long)
    log_prob = torch.zeros_like(placed) if scored else None
    return Request(
        model=model,
        condition=complete,
        value_sampler=ValueSampler(model.likelihood, options, guided, observe),
        values=values,
        cells=_cells(placed, values, known, known_mask, log_prob),
        log_prob=log_prob,
        branches=2 if guided else 1,
        on_step=on_step,
    )


def _cells(
    uniforms: Tensor,
    values: Tensor,
    known: Tensor | None,
    known_mask: Tensor | None,
    log_prob: Tensor | None,
) -> list[list[list[Cell]]]:
    """The cells of tensors [H, W, C, N, 1]."""
    height, width, channels = values.shape[:3]
    count = height * width * channels

    def views(x: Tensor) -> list[Tensor]:
        return list(x.flatten(0, 2).unbind())

    def optional(x: Tensor | None) -> list[Tensor] | list[None]:
        return [None] * count if x is None else views(x)

    flat = map(
        Cell, views(uniforms), views(values), optional(known), optional(known_mask),
        optional(log_prob),
    )  # fmt: skip
    return [[[next(flat) for _ in range(channels)] for _ in range(width)] for _ in range(height)]
