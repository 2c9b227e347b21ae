"""What every job returns: a sequence of items, with what was measured on the way.

Items and results show themselves as pictures in a notebook.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar, overload

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.imaging import (
    FullSizeHole,
    MaskConvention,
    ReconstructionMetrics,
    heat_sheet,
    make_grid,
    square_columns,
    stack_rows,
)

if TYPE_CHECKING:
    import numpy as np

    from pixelgen.checkpoints.classification import ClassificationScores


class NotebookDisplay(ABC):
    """Something that a notebook shows as a picture."""

    @abstractmethod
    def sheet(self) -> Image.Image:
        """One picture of it all."""

    def _repr_png_(self) -> bytes | None:
        file = BytesIO()
        self.sheet().save(file, "PNG")
        return file.getvalue()


class ResultItem(NotebookDisplay):
    """One of the things that a result holds."""

    image: Image.Image


@dataclass(frozen=True)
class Sample(ResultItem):
    """A picture that a model drew."""

    image: Image.Image
    """RGB, or grey where the model draws one channel, 0–255."""
    seed: int
    """Of the call that drew it: the same call with this seed draws the same pictures again, on the
    same kind of device."""
    pick: int
    """Its number, from 1, among the pictures of that call: the same call with this seed and `pick`
    draws it alone."""
    bits_per_dim: float
    """-log2 p(picture | condition), in bits per value that the model draws (pixel and channel, or
    code), of the model itself: at temperature 1, without guidance or top-p. Where a vector h was
    drawn for the picture first, given that too."""
    label: int | None
    """Number of its class; None where it has none, or lies between two."""

    def sheet(self) -> Image.Image:
        """The picture."""
        return self.image


@dataclass(frozen=True)
class Portrait(Sample):
    """A picture of a person."""

    similarity: float
    """Cosine of its embedding with the one that it was drawn from, -1 … 1."""
    sources: list[Image.Image]
    """The aligned face of every photo, as the embedder saw it."""


@dataclass(frozen=True)
class Frame(Sample):
    """A picture on the path between the h of two pictures, by an auto-encoder."""

    mean: Image.Image
    """What the deconvolutional decoder makes of the same h."""


@dataclass(frozen=True)
class Completion(Sample):
    """A photo with a hole that was filled in."""

    original: Image.Image
    """The square around the hole as the model would see it."""
    masked: Image.Image
    """The same with what was drawn in grey."""
    effective: float
    """Among how many candidates the choice effectively was, 1 … `refine`."""
    hole: FullSizeHole | None = field(default=None, repr=False)
    """The photo, and where `image` goes in it; None with `raw`."""

    @property
    def photo(self) -> Image.Image:
        """The whole photo at its own size with the hole filled, RGB or, where it has transparency,
        RGBA; made anew each time, since photos are large. With `raw` the same as `image`."""
        return self.image if self.hole is None else self.hole.fill(self.image)

    def sheet(self) -> Image.Image:
        """The photo with the hole filled."""
        return self.photo


@dataclass(frozen=True)
class Reconstruction(ResultItem):
    """One picture reconstructed by one auto-encoder, or by a tokenizer."""

    source: Image.Image
    """The picture as the networks saw it."""
    bottleneck: int | None
    """Latent dimensions of the auto-encoder; None: a tokenizer's codes."""
    image: Image.Image
    """What the deconvolutional decoder gives, the mean; or the tokenizer's picture."""
    likeness: ReconstructionMetrics
    """Of this to the original."""
    samples: list[Image.Image]
    """What the PixelCNN draws; empty for a tokenizer."""
    samples_likeness: list[ReconstructionMetrics]
    """Of each of these to the original."""
    picks: list[int]
    """The number of each of these, from 1, among the samples of the call: the same call with this
    seed and `pick` draws it alone."""
    bits_per_dim: float | None
    """-log2 p(original | h) per value, of the model itself: at temperature 1, without guidance or
    top-p. Of several patches the mean, with their mirrored edges. None for a
    tokenizer."""
    seed: int | None
    """The seed that draws the same samples again on the same kind of device; None for a
    tokenizer."""

    def sheet(self) -> Image.Image:
        """The original, the mean and the samples, side by side."""
        return stack_rows([[self.source, self.image, *self.samples]])


@dataclass(frozen=True)
class RankedClass:
    """A class, and how well it explains a picture."""

    index: int
    """Number of the class."""
    probability: float
    """p(class | picture), if the picture is of one of the classes of the weights, all as likely
    before it is seen; at the temperature of `ScoreResult.classification`."""
    bits_per_dim: float
    """-log2 p(picture | class) per value."""


@dataclass(frozen=True, eq=False)
class Score(ResultItem):
    """What a model says about a picture."""

    image: Image.Image
    """The picture in the model's size."""
    bits: float
    """-log2 p(picture), or of its codes where the model draws codes. Of a PixelVAE an upper
    bound."""
    bits_per_dim: float
    """The same per value: per pixel and channel, or per code."""
    surprise: np.ndarray
    """float64 [H, W]: the bits of every pixel, or of every position of the grid of codes, summed
    over channels. Their sum is `bits`; of a PixelVAE they are given h, the mean over its draws by
    their importance, and `bits` also has those of h."""
    ranking: list[RankedClass]
    """The classes that explain the picture best, the best first; empty if not asked for."""
    is_bound: bool = False
    """Whether `bits` are an upper bound rather than exact."""

    def sheet(self) -> Image.Image:
        """The picture beside its surprise."""
        return _heat_sheet([self])


ItemT = TypeVar("ItemT", bound=ResultItem)
SampleT = TypeVar("SampleT", bound=Sample)


@dataclass(frozen=True, eq=False, repr=False)
class Result(Sequence[ItemT], NotebookDisplay):
    """The items of one call, in order."""

    items: list[ItemT]
    """What was drawn or measured."""
    seconds: float
    """Time of it all."""

    @property
    def images(self) -> list[Image.Image]:
        """The picture of every item."""
        return [item.image for item in self.items]

    @overload
    def __getitem__(self, index: int) -> ItemT: ...
    @overload
    def __getitem__(self, index: slice) -> list[ItemT]: ...
    def __getitem__(self, index: int | slice) -> ItemT | list[ItemT]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} in {self.seconds:.1f} s>"

    def sheet(self) -> Image.Image:
        """All pictures in a grid. Raises ValueError if there is none."""
        if not self.items:
            raise ValueError("there are no pictures to show")
        return make_grid(self.images, square_columns(len(self)))

    def _repr_png_(self) -> bytes | None:
        try:
            return super()._repr_png_() if self.items else None
        except UsageError:  # too many for one sheet: a notebook then shows `repr`
            return None


@dataclass(frozen=True, eq=False, repr=False)
class DrawnResult(Result[SampleT]):
    """Pictures that were drawn with one seed."""

    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    parameters: dict[str, Any]
    """What, beside weights, photos, seed, pick and device, decides how the pictures come out:
    JSON-ready."""

    @property
    def bits_per_dim(self) -> list[float]:
        """`Sample.bits_per_dim` of every picture."""
        return [item.bits_per_dim for item in self.items]

    @property
    def picks(self) -> list[int]:
        """`Sample.pick` of every picture."""
        return [item.pick for item in self.items]

    @property
    def classes(self) -> list[int | None]:
        """`Sample.label` of every picture."""
        return [item.label for item in self.items]


@dataclass(frozen=True, eq=False, repr=False)
class SampleResult(DrawnResult[Sample]):
    """`n` pictures of the first class, then of the second, and so on; of an interpolation the
    frames, in order."""


@dataclass(frozen=True, eq=False, repr=False)
class PortraitResult(DrawnResult[Portrait]):
    """Portraits; of an interpolation the frames, in order."""

    sources: list[Image.Image]
    """The aligned face of every photo."""

    @property
    def similarity(self) -> list[float]:
        """`Portrait.similarity` of every portrait."""
        return [item.similarity for item in self.items]


@dataclass(frozen=True, eq=False, repr=False)
class InterpolationResult(DrawnResult[Frame]):
    """The path from one picture through others to the last, frame by frame."""

    sources: list[Image.Image]
    """The pictures that it leads through, as the encoder saw them."""
    bottleneck: int
    """Latent dimensions of the auto-encoder."""

    @property
    def means(self) -> list[Image.Image]:
        """`Frame.mean` of every frame."""
        return [item.mean for item in self.items]


@dataclass(frozen=True, eq=False, repr=False)
class CompletionResult(DrawnResult[Completion]):
    """`n` completions of the first class, then of the second, and so on. Pixels that were visible
    are as they were; of weights with a tokenizer, their codes are."""

    original: Image.Image
    """The square around the hole as the model would see it; with `raw` the photo made square."""
    masked: Image.Image
    """The same with what was drawn in grey."""
    square: tuple[int, int, int, int]
    """Of the photo: left, top, right and bottom in its pixels. A part may lie beyond its edges,
    which is drawn but not used."""
    drawn: float
    """Share of the photo's pixels that were filled, 0 … 1; with `raw` of the values of the small
    picture."""
    mask: MaskConvention | None
    """What of the mask was drawn: what is "white", "transparent", "painted" or
    "white-or-transparent"; None without a mask."""

    @property
    def effective(self) -> list[float]:
        """`Completion.effective` of every picture."""
        return [item.effective for item in self.items]


@dataclass(frozen=True, eq=False, repr=False)
class ReconstructResult(Result[Reconstruction]):
    """One picture after the other, each by every auto-encoder, the smallest bottleneck first."""

    sources: list[Image.Image]
    """The pictures as the networks saw them."""
    seed: int | None
    """The seed that draws the same samples again on the same kind of device; None for a
    tokenizer."""
    parameters: dict[str, Any]
    """What, beside weights, pictures, seed, pick and device, decides how they come out:
    JSON-ready."""

    @property
    def by_source(self) -> list[list[Reconstruction]]:
        """The reconstructions of every picture, the smallest bottleneck first."""
        count = len(self.items) // max(len(self.sources), 1)
        return [self.items[i * count : (i + 1) * count] for i in range(len(self.sources))]

    def rows(self) -> list[list[Image.Image]]:
        """For every picture itself, then for every bottleneck the mean and the samples."""
        return [
            [source, *(image for one in row for image in (one.image, *one.samples))]
            for source, row in zip(self.sources, self.by_source, strict=True)
        ]

    def sheet(self) -> Image.Image:
        """`rows`, below one another. Raises ValueError if there is none."""
        return stack_rows(self.rows())


@dataclass(frozen=True, eq=False, repr=False)
class ScoreResult(Result[Score]):
    """A score for each picture, in the order in which they were passed."""

    label: int | None
    """Number of the class that they are conditioned on; None: no class."""
    unit: str
    """Of `bits_per_dim`: bits/dim, bits/code, or bits/dim (bound)."""
    values: int
    """Values of a picture, among which its bits are divided."""
    importance_samples: int | None = None
    """Latents drawn for each picture: the figures are upper bounds then; None: they are exact."""
    classification: ClassificationScores | None = None
    """How often a ranking of classes is right; None if it was not asked for, or not measured for
    these weights: then the probabilities are those of the model itself, which is far too sure."""

    @property
    def scores(self) -> list[Score]:
        """The items."""
        return self.items

    def sheet(self) -> Image.Image:
        """Each picture beside its surprise. Raises UsageError where they are too many for one
        sheet."""
        return _heat_sheet(self.items)


def _heat_sheet(scores: Sequence[Score]) -> Image.Image:
    of_pixels = all(one.surprise.shape == one.image.size[::-1] for one in scores)
    unit = "bits/dim" if of_pixels else "bits/code"
    given = ", given h" * any(one.is_bound for one in scores)
    return heat_sheet(
        [one.image for one in scores],
        [one.surprise for one in scores],
        [f"{one.bits_per_dim:.3f} {unit}{' (bound)' * one.is_bound}" for one in scores],
        f"bits per {'pixel' if of_pixels else 'position of the codes'}{given}",
    )
