"""Pictures of a class, from weights to PIL images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import DEFAULT_WEIGHTS, LoadedCheckpoint, Source, load_checkpoint
from pixelgen.pipelines.devices import pick_device
from pixelgen.pipelines.pictures import decode_images, to_images
from pixelgen.pipelines.request import SampleRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pixelgen.models.conditioning import Condition


@dataclass(frozen=True)
class Progress:
    """A moment in the making of a batch."""

    first: int
    """Number of the batch's first picture among all."""
    rows: int
    """Rows of the pictures that are finished; those below are not drawn yet."""
    height: int
    """Their rows in all."""
    grids: Tensor
    """The batch [B, C, H, W] as the model draws it, pixels or codes."""
    show: Callable[[Tensor], list[Image.Image]]
    """Makes pictures of such grids."""

    def images(self) -> list[Image.Image]:
        """The batch as it stands."""
        return self.show(self.grids)


@dataclass(frozen=True)
class SampleResult:
    """Pictures and what was measured on the way."""

    images: list[Image.Image]
    """`n` pictures of the first class, then of the second, and so on."""
    classes: list[int | None]
    """ILSVRC index of every picture, None where it has no class."""
    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    bits_per_dim: list[float]
    """-log2 p(picture | class) per value (per code, where the model draws codes), of the model
    itself: at temperature 1, without guidance or top-p."""
    seconds: float
    """Time of the sampling."""
    parameters: dict[str, Any]
    """Classes, n, temperature, top_p, guidance."""


class ClassPipeline:
    """Draws pictures of given classes.

    Example: `ClassPipeline.from_pretrained()(classes=[207], n=4, seed=1).images`.
    """

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.model = checkpoint.model.to(device)
        self.tokenizer = checkpoint.tokenizer and checkpoint.tokenizer.to(device)

    @classmethod
    def from_pretrained(
        cls, ref: str | Path | Source = DEFAULT_WEIGHTS, device: str = "auto"
    ) -> ClassPipeline:
        """Weights by bundled name, folder or Hub id `owner/name[@revision]`, on `device`
        (auto, cpu, cuda, cuda:N, mps). Raises PixelgenError where either is not to be had."""
        target = pick_device(device)
        return cls(load_checkpoint(ref), target)

    def __call__(
        self,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        *,
        seed: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        batch_size: int = 16,
        on_row: Callable[[Progress], None] | None = None,
    ) -> SampleResult:
        """`n` pictures of each of `classes` (numbers, WordNet ids, names), or without a class.

        What is left out comes from the weights' own defaults; a missing seed is drawn. `on_row` is
        called after every finished row. Raises PixelgenError for what the weights cannot do.
        """
        request = SampleRequest.make(
            self.checkpoint.config,
            self.checkpoint.name,
            classes=classes,
            n=n,
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            guidance=guidance,
            batch_size=batch_size,
        )
        return self.run(request, on_row)

    def run(
        self, request: SampleRequest, on_row: Callable[[Progress], None] | None = None
    ) -> SampleResult:
        """Carry out a request that was made for these weights."""
        import torch

        from pixelgen.models.likelihood import bits_per_dim
        from pixelgen.sampling import SamplingOptions, draw_uniforms, sample

        started = time.perf_counter()
        config = self.model.config
        options = SamplingOptions(
            temperature=request.options.temperature,
            top_p=request.options.top_p,
            guidance=request.options.guidance,
        )
        # Always on the CPU: every device then gets the same numbers.
        generator = torch.Generator().manual_seed(request.seed)
        images: list[Image.Image] = []
        bits: list[float] = []
        for first in range(0, request.count, request.batch_size):
            chunk = slice(first, min(first + request.batch_size, request.count))
            condition = self._condition(request, chunk)
            with torch.inference_mode():
                x = sample(
                    self.model,
                    condition,
                    draw_uniforms(generator, chunk.stop - first, config),
                    options=options,
                    on_row=None if on_row is None else self._reporter(on_row, first),
                )
                bits += bits_per_dim(self.model.log_prob(x, condition)).tolist()
            images += self._show(x)
        return SampleResult(
            images=images,
            classes=[c for c in request.classes or (None,) for _ in range(request.n)],
            seed=request.seed,
            bits_per_dim=bits,
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )

    def _condition(self, request: SampleRequest, chunk: slice) -> Condition | None:
        import torch

        from pixelgen.models.conditioning import Condition

        if not request.rows:
            return None
        rows = torch.tensor(request.rows).repeat_interleave(request.n)[chunk]
        return Condition(classes=rows.to(self.device))

    def _show(self, x: Tensor) -> list[Image.Image]:
        """Pictures of what the model drew, [B, C, H, W]."""
        if self.tokenizer is None:
            return to_images(x, self.model.config.levels)
        return decode_images(self.tokenizer, x)

    def _reporter(
        self, on_row: Callable[[Progress], None], first: int
    ) -> Callable[[int, int, Tensor], None]:
        height = self.checkpoint.config.picture[1]
        return lambda rows, total, grids: on_row(
            Progress(first, rows * height // total, height, grids, self._show)
        )
