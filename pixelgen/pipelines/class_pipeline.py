"""Pictures of a class, from weights to PIL images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import DEFAULT_WEIGHTS, LoadedCheckpoint
from pixelgen.pipelines.image_sampler import ImageSampler, Progress
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.request import DrawingOptions, SampleRequest

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack


_ANOTHER = 0x5DEECE66D
"""What a seed is changed by for vectors: the pictures are drawn with the seed itself."""


@dataclass(frozen=True)
class SampleResult:
    """Pictures and what was measured on the way."""

    images: list[Image.Image]
    """`n` pictures of the first class, then of the second, and so on; of an interpolation the
    frames, in order."""
    classes: list[int | None]
    """ILSVRC index of every picture, None where it has no class or may be between two."""
    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    bits_per_dim: list[float]
    """-log2 p(picture | class) per value (per code, where the model draws codes), of the model
    itself: at temperature 1, without guidance or top-p. Where a vector h was drawn for each picture
    (see `ClassPrior`), given that too."""
    seconds: float
    """Time of the sampling."""
    parameters: dict[str, Any]
    """Classes, n or steps, temperature, top_p, guidance, and where vectors of classes were drawn
    vector_temperature."""


class ClassPipeline(Pretrained):
    """Draws pictures of given classes.

    Example: `ClassPipeline.from_pretrained()(classes=[207], n=4, seed=1).images`.
    """

    default_weights = DEFAULT_WEIGHTS

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.sampler = ImageSampler(checkpoint, device)
        self.model = self.sampler.model

    def __call__(
        self,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        *,
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> SampleResult:
        """`n` pictures of each of `classes` (numbers, WordNet ids, names), or without a class.

        `drawing`: see `DrawingOptions`. What is left out comes from the weights' own defaults; a
        missing seed is drawn. `on_step` is told how the pictures grow. Raises PixelgenError for
        what the weights cannot do.
        """
        made = self.checkpoint
        request = SampleRequest.make(made.config, made.name, classes=classes, n=n, **drawing)
        return self.run(request, on_step)

    def interpolate(
        self,
        classes: Sequence[int | str],
        steps: int = 9,
        *,
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> SampleResult:
        """`steps` pictures on the way from the first of `classes` through the others to the last,
        straight through the space of their embeddings. All are drawn with the same random numbers.
        Takes `drawing` and raises as a call does."""
        made = self.checkpoint
        request = SampleRequest.make(
            made.config, made.name, classes=classes, steps=steps, **drawing
        )
        return self.run(request, on_step)

    def run(
        self, request: SampleRequest, on_step: Callable[[Progress], None] | None = None
    ) -> SampleResult:
        """Carry out a request that was made for these weights."""
        import torch

        from pixelgen.models.conditioning import Condition

        started = time.perf_counter()
        sampler, condition = self.sampler, None
        rows = torch.tensor(request.rows, dtype=torch.int64)
        if request.steps is not None:
            sampler = self._painter_between(request.rows, request.steps)
            vectors = self._vectors(rows, request, one_stream=True)
            way = None if vectors is None else interpolate_path(vectors, request.steps)
            condition = Condition(torch.arange(request.steps), way)
        elif request.rows:
            each = rows.repeat_interleave(request.n)
            condition = Condition(each, self._vectors(each, request))
        sampled = sampler.paint(
            request.count,
            condition,
            options=request.drawing.options,
            seed=request.drawing.seed,
            batch_size=request.drawing.batch_size,
            streams=None if request.steps is None else 1,
            on_step=on_step,
        )
        classes: list[int | None] = [None] * request.count
        if request.steps is None:
            classes = [c for c in request.classes or (None,) for _ in range(request.n)]
        return SampleResult(
            images=sampled.images,
            classes=classes,
            seed=request.drawing.seed,
            bits_per_dim=sampled.bits_per_dim,
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )

    def _vectors(
        self, rows: torch.Tensor, request: SampleRequest, *, one_stream: bool = False
    ) -> torch.Tensor | None:
        """A condition vector for each of `rows` of the class table, where the model draws them;
        with `one_stream` all with the same random numbers."""
        import torch

        from pixelgen.sampling.value_sampler import seeded

        drawer = getattr(self.model, "class_prior", None)
        if drawer is None:
            return None

        def fresh() -> torch.Generator:
            return seeded(request.drawing.seed, _ANOTHER)

        temperature = request.drawing.options.vector_temperature
        parts = rows.split(1) if one_stream else (rows,)
        return torch.cat([drawer.draw(part, fresh(), temperature) for part in parts])

    def _painter_between(self, rows: Sequence[int], steps: int) -> ImageSampler:
        """Draws `steps` new classes on the way through those of `rows` of the class table."""
        import torch

        from pixelgen.models.class_interpolation import with_interpolated_classes

        own = torch.eye(self.model.config.classes)[list(rows)]
        network = with_interpolated_classes(self.model, interpolate_path(own, steps))
        return ImageSampler(replace(self.checkpoint, network=network), self.device)
