"""From conditions to pictures, batch after batch: what every pipeline that draws has in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint, SamplingDefaults
from pixelgen.pipelines.conversion import decode_images, to_images

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from pixelgen.models.conditioning import Condition
    from pixelgen.models.gated_pixelcnn import GatedPixelCNN
    from pixelgen.models.pixelcnn import PixelCNN
    from pixelgen.sampling.state import StepCallback


@dataclass(frozen=True)
class Progress:
    """A moment in the making of a batch, good while the callback that it is given to runs."""

    sampler: ImageSampler
    """Who draws."""
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
    given: Given | None = None
    """What was known beforehand."""

    @property
    def share(self) -> float:
        """How much of all work is done, 0 … 1."""
        return (self.first + self.batch * self.done / self.positions) / self.total

    def images(self, most: int | None = None) -> list[Image.Image]:
        """The batch as it stands, or the first `most` pictures of it. What they show where they are
        `pending` means nothing."""
        return self.sampler.show(self.values()[:most])

    def values(self) -> Tensor:
        """What they are shown by: `grids`, and what is `given`."""
        import torch

        x = self.grids()
        if self.given is None:
            return x
        return torch.where(self.given.mask.to(x.device), self.given.values.to(x.device), x)

    def pending(self) -> np.ndarray:
        """bool [H, W]: pixels that are neither drawn nor known. Of weights with a tokenizer these
        are whole cells, one for a code; the codes around a drawn cell may still change it."""
        import numpy as np

        config, height = self.sampler.model.config, self.sampler.height
        patch = math.isqrt(config.height * config.width // self.positions)
        pending = np.arange(self.positions).reshape(config.height // patch, -1) >= self.done
        pending = _spread(pending, patch * height // config.height)
        if self.given is not None:
            known = self.given.mask.all(0).cpu().numpy()
            pending &= ~_spread(known, height // config.height)
        return pending


def in_pictures(told: Callable[[int, int], None] | None) -> Callable[[Progress], None] | None:
    """What tells `told(done, total)`, in whole pictures, of every moment; None where nobody is."""
    if told is None:
        return None

    def step(moment: Progress) -> None:
        told(int(moment.share * moment.total), moment.total)

    return step


@dataclass(frozen=True)
class SampledImages:
    """Pictures, and how likely the model finds them."""

    images: list[Image.Image]
    bits_per_dim: list[float]
    """-log2 p(picture | condition) per value that the model draws, at temperature 1, without
    guidance or top-p."""


@dataclass(frozen=True)
class Given:
    """What is known of all pictures before they are drawn, on the grid that the model draws."""

    values: Tensor
    """int64 [C, H, W]."""
    mask: Tensor
    """bool [C, H, W]: true where the value is known, and kept."""


_EXACT = 8
"""Matrix products of fewer rows are rounded otherwise: batches are not smaller than this, or than
all pictures, so that what is drawn does not depend on how they are split."""


class ImageSampler:
    """A model on its device, with what makes pictures of the grids that it draws."""

    def __init__(
        self,
        checkpoint: LoadedCheckpoint,
        device: torch.device | str = "cpu",
        model: GatedPixelCNN | PixelCNN | None = None,
    ) -> None:
        """`model` is one of several that the checkpoint holds; without it, there is but one."""
        self.checkpoint = checkpoint
        self.device = device
        self.model = (checkpoint.model if model is None else model).to(device)
        self.tokenizer = checkpoint.tokenizer and checkpoint.tokenizer.to(device)
        self.height = checkpoint.config.image_shape[1]

    def paint(
        self,
        count: int,
        condition: Condition | None,
        *,
        options: SamplingDefaults,
        seed: int,
        batch_size: int,
        streams: int | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> SampledImages:
        """`count` pictures, each of its own condition. They do not depend on `batch_size`; below 8
        it saves neither time nor memory.

        With `streams`, picture i is drawn with the random numbers of picture i modulo `streams`:
        those of a stream differ by their conditions alone.
        """
        from pixelgen.models.likelihood import bits_per_dim

        images: list[Image.Image] = []
        bits: list[float] = []
        for x, log_prob in self.draw(
            count,
            condition,
            options=options,
            seed=seed,
            batch_size=batch_size,
            streams=streams,
            on_step=on_step,
        ):
            bits += bits_per_dim(log_prob).tolist()
            images += self.show(x)
        return SampledImages(images, bits)

    def draw(
        self,
        count: int,
        condition: Condition | None,
        *,
        options: SamplingDefaults,
        seed: int,
        batch_size: int,
        streams: int | None = None,
        given: Given | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The grids that `paint` makes pictures of, batch after batch: int64 [B, C, H, W] and the
        log-probability of every value in nats, at temperature 1, without guidance or top-p.

        What is `given` is taken, and conditioned on; it takes no random numbers from the others.
        Raises PixelgenError for weights whose network overflows.
        """
        import torch

        from pixelgen.sampling import SamplingOptions, draw_uniforms, sample_scored
        from pixelgen.sampling.value_sampler import seeded

        config = self.model.config
        chosen = SamplingOptions(options.temperature, options.top_p, options.guidance)
        # Always on the CPU: every device then gets the same numbers.
        generator = seeded(seed)
        shared = draw_uniforms(generator, streams, config) if streams else None
        least = min(count, _EXACT)
        for first in range(0, count, batch_size):
            chunk = slice(first, min(first + batch_size, count))
            size = chunk.stop - first
            part = None if condition is None else condition[chunk].to(self.device)
            uniforms = (
                draw_uniforms(generator, size, config)
                if shared is None
                else shared[torch.arange(first, chunk.stop) % len(shared)]
            )
            if size < least:  # some pictures twice
                rows = torch.arange(least) % size
                uniforms, part = uniforms[rows], None if part is None else part[rows]
            with torch.inference_mode(), self._watched():
                x, log_prob = sample_scored(
                    self.model,
                    part,
                    uniforms,
                    options=chosen,
                    known=None if given is None else given.values,
                    known_mask=None if given is None else given.mask,
                    on_step=None
                    if on_step is None
                    else self._reporter(on_step, first, size, count, given),
                )
                x, log_prob = x[:size], log_prob[:size]
            if log_prob.isnan().any():
                raise self.checkpoint.not_finite_error()
            yield x, log_prob

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A context in which it is a PixelgenError where the network overflows: of probabilities
        that are no numbers, the value that is drawn lies beyond the last."""
        try:
            yield
        except IndexError as error:
            raise self.checkpoint.not_finite_error() from error

    def show(self, x: Tensor) -> list[Image.Image]:
        """Pictures of what the model drew, [B, C, H, W]."""
        if self.tokenizer is None:
            return to_images(x, self.model.config.levels)
        return decode_images(self.tokenizer, x)

    def _reporter(
        self,
        on_step: Callable[[Progress], None],
        first: int,
        batch: int,
        total: int,
        given: Given | None,
    ) -> StepCallback:
        return lambda done, positions, grids: on_step(
            Progress(self, first, batch, total, done, positions, lambda: grids()[:batch], given)
        )


def _spread(cells: np.ndarray, side: int) -> np.ndarray:
    """[h, w] → [h · side, w · side]."""
    return cells.repeat(side, 0).repeat(side, 1)
