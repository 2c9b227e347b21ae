"""Draws pictures of conditions, batch after batch: shared by all pipelines that draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.pipelines.conversion import PictureCallback, decode_images, to_images
from pixelgen.pipelines.drawing import DrawingParameters
from pixelgen.sampling.rounding import LEAST_ROWS

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from pixelgen.models.autoregressive import GridNetwork
    from pixelgen.models.conditioning import Condition
    from pixelgen.sampling.state import StepCallback


@dataclass(frozen=True)
class KnownValues:
    """Values of all pictures that are known before these are drawn, on the grid of the model."""

    values: Tensor
    """int64 [C, H, W]."""
    mask: Tensor
    """bool [C, H, W]: true where the value is known, and stays as it is."""


@dataclass(frozen=True)
class SamplingProgress:
    """How far a batch is drawn; valid while the callback that it is passed to runs."""

    sampler: ImageSampler
    """What draws."""
    first: int
    """Number of the batch's first picture among all."""
    batch: int
    """Pictures of the batch."""
    total: int
    """Pictures in all."""
    done: int
    """Positions of the model's grid that are drawn in every picture of the batch, in raster
    order."""
    positions: int
    """Positions in all."""
    grids: Callable[[], Tensor]
    """Returns the batch [B, C, H, W] as the model draws it, pixels or codes, zero where it is not
    drawn yet."""
    known: KnownValues | None = None
    """What was known beforehand."""

    @property
    def share(self) -> float:
        """How much of all work is done, 0 … 1."""
        return (self.first + self.batch * self.done / self.positions) / self.total

    def images(self, most: int | None = None) -> list[Image.Image]:
        """The batch so far, or its first `most` pictures. Where they are `pending`, their values
        are meaningless."""
        return self.sampler.show(self.values()[:most])

    def values(self) -> Tensor:
        """`grids` [B, C, H, W] with the `known` values filled in."""
        import torch

        x = self.grids()
        if self.known is None:
            return x
        return torch.where(self.known.mask.to(x.device), self.known.values.to(x.device), x)

    def pending(self) -> np.ndarray:
        """bool [H, W]: pixels that are neither drawn nor known. Of weights with a tokenizer these
        are whole cells, one for a code; the codes around a drawn cell may still change it."""
        import numpy as np

        config, height = self.sampler.model.config, self.sampler.height
        patch = math.isqrt(config.height * config.width // self.positions)
        pending = np.arange(self.positions).reshape(config.height // patch, -1) >= self.done
        pending = _spread(pending, patch * height // config.height)
        if self.known is not None:
            known = self.known.mask.all(0).cpu().numpy()
            pending &= ~_spread(known, height // config.height)
        return pending


OnStep = Callable[[SamplingProgress], None]
"""Called at the start and after every position of the grid."""


def picture_progress(progress: PictureCallback | None) -> OnStep | None:
    """An `on_step` that calls `progress(done, total)`, in whole pictures; None for None."""
    if progress is None:
        return None

    def step(moment: SamplingProgress) -> None:
        progress(int(moment.share * moment.total), moment.total)

    return step


def candidate_indices(picks: Sequence[int], candidates: int) -> list[int]:
    """Indices of the candidates of the pictures with the numbers `picks`, from 1, where
    `candidates` are drawn of each, one after another."""
    return [(pick - 1) * candidates + i for pick in picks for i in range(candidates)]


def best_of_each(scores: Sequence[float], candidates: int) -> list[int]:
    """The index of the greatest of every `candidates` consecutive scores, the first of equals. An
    incomplete group at the end is left out."""
    groups = range(0, len(scores) - candidates + 1, candidates)
    return [max(range(g, g + candidates), key=scores.__getitem__) for g in groups]


@dataclass(frozen=True)
class SampledImages:
    """Pictures, and how likely the model finds them."""

    images: list[Image.Image]
    bits_per_dim: list[float]
    """-log2 p(picture | condition) per value that the model draws, at temperature 1, without
    guidance or top-p."""


class ImageSampler:
    """A model on its device, and the tokenizer that decodes what it draws."""

    def __init__(
        self,
        checkpoint: LoadedCheckpoint,
        device: torch.device | str = "cpu",
        model: GridNetwork | None = None,
        smooth: bool = True,
    ) -> None:
        """`model` is one of several that the checkpoint holds; by default the only one. `smooth` is
        that of `Tokenizer.decode`."""
        self.checkpoint = checkpoint
        self.device = device
        self.smooth = smooth
        self.model = (checkpoint.model if model is None else model).to(device)
        self.tokenizer = checkpoint.tokenizer and checkpoint.tokenizer.to(device)
        self.height = checkpoint.config.image_shape[1]

    def sample(
        self,
        count: int,
        condition: Condition | None,
        drawing: DrawingParameters,
        *,
        only: Sequence[int] | None = None,
        streams: int | None = None,
        on_step: OnStep | None = None,
    ) -> SampledImages:
        """`count` pictures; or of these `only` some, by their ascending indices, which come out as
        among all. Each picture that is drawn has its own condition. They do not depend on
        `drawing.batch_size`; below 8 it saves neither time nor memory.

        With `streams`, picture i is drawn with the random numbers of picture i modulo `streams`:
        those of a stream differ by their conditions alone.
        """
        from pixelgen.models.likelihood import bits_per_dim

        images: list[Image.Image] = []
        bits: list[float] = []
        for x, log_prob in self.sample_grids(
            count, condition, drawing, only=only, streams=streams, on_step=on_step
        ):
            bits += bits_per_dim(log_prob).tolist()
            images += self.show(x)
        return SampledImages(images, bits)

    def sample_grids(
        self,
        count: int,
        condition: Condition | None,
        drawing: DrawingParameters,
        *,
        only: Sequence[int] | None = None,
        streams: int | None = None,
        known: KnownValues | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The grids that `sample` shows as pictures, batch after batch: int64 [B, C, H, W] and the
        log-probability of every value in nats, at temperature 1, without guidance or top-p.

        What is `known` is taken, and conditioned on; it takes no random numbers from the others.
        Raises PixelgenError for weights whose network overflows.
        """
        import torch

        from pixelgen.sampling import draw_uniforms, sample_scored
        from pixelgen.sampling.value_sampler import draw_uniforms_of, seeded

        config = self.model.config
        # Always on the CPU: every device then gets the same numbers.
        generator = seeded(drawing.seed)
        shared = draw_uniforms(generator, streams, config) if streams else None
        least = min(count, LEAST_ROWS)
        of_callback: list[IndexError] = []
        if on_step is not None:
            on_step = _noting_errors(on_step, of_callback)
        chosen = range(count) if only is None else only
        for first in range(0, len(chosen), drawing.batch_size):
            batch = chosen[first : first + drawing.batch_size]
            size = len(batch)
            part = None if condition is None else condition[first : first + size].to(self.device)
            drawn = chosen[first - 1] + 1 if first else 0
            uniforms = (
                draw_uniforms_of(generator, batch, config, drawn)
                if shared is None
                else shared[torch.tensor(batch) % len(shared)]
            )
            if size < least:  # some pictures twice
                rows = torch.arange(least) % size
                uniforms, part = uniforms[rows], None if part is None else part[rows]
            with torch.inference_mode(), self._overflow_reported(of_callback):
                x, log_prob = sample_scored(
                    self.model,
                    part,
                    uniforms,
                    options=drawing.options,
                    known=None if known is None else known.values,
                    known_mask=None if known is None else known.mask,
                    on_step=None
                    if on_step is None
                    else self._step_callback(on_step, first, size, len(chosen), known),
                )
                x, log_prob = x[:size], log_prob[:size]
            if log_prob.isnan().any():
                raise self.checkpoint.not_finite_error()
            yield x, log_prob

    @contextmanager
    def _overflow_reported(self, of_callback: Sequence[IndexError]) -> Iterator[None]:
        """A context that raises PixelgenError where the network overflows: from probabilities that
        are not numbers, a value beyond the last level is drawn. Errors `of_callback` pass."""
        try:
            yield
        except IndexError as error:
            if error in of_callback:
                raise
            raise self.checkpoint.not_finite_error() from error

    def show(self, x: Tensor) -> list[Image.Image]:
        """Grids [B, C, H, W] as pictures."""
        if self.tokenizer is None:
            return to_images(x, self.model.config.levels)
        return decode_images(self.tokenizer, x, smooth=self.smooth)

    def _step_callback(
        self, on_step: OnStep, first: int, batch: int, total: int, known: KnownValues | None
    ) -> StepCallback:
        return lambda done, positions, grids: on_step(
            SamplingProgress(
                self, first, batch, total, done, positions, lambda: grids()[:batch], known
            )
        )


def _noting_errors(on_step: OnStep, errors: list[IndexError]) -> OnStep:
    """`on_step`, which adds to `errors` what would otherwise look like an overflow."""

    def step(moment: SamplingProgress) -> None:
        try:
            on_step(moment)
        except IndexError as error:
            errors.append(error)
            raise

    return step


def _spread(cells: np.ndarray, side: int) -> np.ndarray:
    """[h, w] → [h · side, w · side]."""
    return cells.repeat(side, 0).repeat(side, 1)
