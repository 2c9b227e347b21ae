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
from pixelgen.pipelines.painter import Painter, Progress
from pixelgen.pipelines.request import SampleRequest

if TYPE_CHECKING:
    import torch


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
        self.painter = Painter(checkpoint, device)
        self.model = self.painter.model

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

        from pixelgen.models.conditioning import Condition

        started = time.perf_counter()
        condition = None
        if request.rows:
            condition = Condition(torch.tensor(request.rows).repeat_interleave(request.n))
        painted = self.painter.paint(
            request.count,
            condition,
            options=request.drawing.options,
            seed=request.drawing.seed,
            batch_size=request.drawing.batch_size,
            on_row=on_row,
        )
        return SampleResult(
            images=painted.images,
            classes=[c for c in request.classes or (None,) for _ in range(request.n)],
            seed=request.drawing.seed,
            bits_per_dim=painted.bits_per_dim,
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )
