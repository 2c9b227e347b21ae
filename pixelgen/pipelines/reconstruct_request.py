"""Pictures to reconstruct, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.drawing import DrawingArguments, DrawingParameters, check_whole
from pixelgen.pipelines.request_checks import check_guidance

if TYPE_CHECKING:
    from typing_extensions import Unpack

DEFAULT_SAMPLES = 3
"""Of each picture and bottleneck, where the user does not say."""
CODE_STEPS = 6
"""See `default_code_steps`."""


class Selection(NamedTuple):
    """What of a request is drawn, all of it or one sample; indices from 0."""

    pictures: Sequence[int]
    bottlenecks: Sequence[int]
    samples: Sequence[int]
    """Of each picture and bottleneck."""


class Column(NamedTuple):
    """What is shown of every picture: itself, a mean, or a sample."""

    name: str
    """As a part of file names."""
    number: int
    """From 0, of all columns where everything is drawn."""
    sample: tuple[int, int] | None = None
    """Indices of the bottleneck and of the sample; None: it is not drawn."""


@dataclass(frozen=True)
class ReconstructRequest:
    """Pictures to reconstruct, by auto-encoders or by a tokenizer."""

    bottlenecks: tuple[int, ...]
    """Of the auto-encoders, the smallest first; empty: by the tokenizer."""
    n: int
    """Samples of each picture and bottleneck."""
    drawing: DrawingParameters | None
    """How they are drawn; None for a tokenizer, which draws nothing."""
    code_steps: int = 0
    """Steps in which a tokenizer's codes are improved (`optimise_codes`)."""

    @classmethod
    def from_options(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        bottlenecks: Sequence[int] | None = None,
        n: int | None = None,
        code_steps: int | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> ReconstructRequest:
        """The request, completed by the defaults of the weights and, without `seed`, a random one.
        Raises UsageError for anything that these weights cannot do."""
        if not config.bottlenecks:
            if not config.can_encode:
                raise UsageError(
                    f"{weights} reconstructs nothing: it holds no auto-encoder and no tokenizer",
                )
            options = {"bottlenecks": bottlenecks or None, "n": n, **drawing}
            for name, value in options.items():
                if name != "batch_size" and value is not None:
                    raise UsageError(
                        f"{name} requires auto-encoders, {weights} reconstructs by its tokenizer",
                    )
            code_steps = default_code_steps(config) if code_steps is None else code_steps
            return cls((), 0, None, check_whole("code_steps", code_steps, 0))
        if code_steps:
            raise UsageError(
                f"code_steps requires a tokenizer, {weights} reconstructs by its auto-encoders"
            )
        wanted = bottlenecks or config.bottlenecks
        chosen = {_check_bottleneck(config, weights, bottleneck) for bottleneck in wanted}
        n = DEFAULT_SAMPLES if n is None else check_whole("n", n, 1)
        return cls(tuple(sorted(chosen)), n, autoencoder_drawing(config, weights, **drawing))

    def selection(self, pictures: int, *, whole: bool = False) -> Selection:
        """What is drawn of so many `pictures`: the sample that was picked, or, if none was or with
        `whole`, everything. Raises UsageError where no sample has the number."""
        count, each = len(self.bottlenecks), range(self.n)
        if whole or self.drawing is None or self.drawing.pick is None:
            return Selection(range(pictures), range(count), each)
        (pick,) = self.drawing.picks(pictures * count * self.n)
        rest, sample = divmod(pick - 1, self.n)
        picture, bottleneck = divmod(rest, count)
        return Selection((picture,), (bottleneck,), (sample,))

    def pick(self, picture: int, bottleneck: int, sample: int) -> int:
        """The number of a sample, from 1, among those of all pictures: of the first picture, by the
        smallest bottleneck, come first. Indices are from 0."""
        return (picture * len(self.bottlenecks) + bottleneck) * self.n + sample + 1

    def parameters(self) -> dict[str, Any]:
        """What, beside pictures, weights, seed, pick and device, decides how they come out."""
        if self.drawing is None:
            return {"code_steps": self.code_steps}
        own = {"bottlenecks": list(self.bottlenecks), "n": self.n}
        return own | self.drawing.parameters()

    def columns(self, selection: Selection) -> list[Column]:
        """What is shown of every picture, in order."""
        if self.drawing is None:
            return [Column("original", 0), Column("reconstructed", 1)]
        columns = [Column("original", 0)]
        for index in selection.bottlenecks:
            name, first = f"{self.bottlenecks[index]}", 1 + index * (self.n + 1)
            columns.append(Column(f"{name}-mean", first))
            columns += [
                Column(f"{name}-sample-{i + 1}", first + 1 + i, (index, i))
                for i in selection.samples
            ]
        return columns


def default_code_steps(config: CheckpointConfig) -> int:
    """Steps in which the codes of a picture to look at are improved: none where the pictures are of
    other things than the classifier knows, such as faces alone."""
    return CODE_STEPS if config.has_imagenet_classes else 0


@dataclass(frozen=True)
class InterpolationRequest:
    """Pictures to draw between the h of one picture and that of another, by an auto-encoder."""

    photos: int
    """Pictures that the path leads through."""
    bottleneck: int
    """Of the auto-encoder."""
    steps: int
    """Pictures of the path, of which `drawing.pick` may choose one."""
    drawing: DrawingParameters
    """How they are drawn."""

    @classmethod
    def from_options(
        cls,
        config: CheckpointConfig,
        weights: str,
        photos: int,
        steps: int = 9,
        *,
        bottleneck: int | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> InterpolationRequest:
        """`steps` pictures, at least one for each of the `photos` that the path leads through, by
        default with the largest bottleneck. Completes and raises as
        `ReconstructRequest.from_options` does."""
        if not config.bottlenecks:
            raise UsageError(f"{weights} has no auto-encoder")
        chosen = max(config.bottlenecks) if bottleneck is None else bottleneck
        chosen = _check_bottleneck(config, weights, chosen)
        if photos < 2:
            raise UsageError("at least 2 photos must be given")
        steps = check_whole("steps", steps, photos)
        parameters = autoencoder_drawing(config, weights, **drawing)
        parameters.picks(steps)  # is there such a picture?
        return cls(photos, chosen, steps, parameters)

    def parameters(self) -> dict[str, Any]:
        """What, beside pictures, weights, seed, pick and device, decides how they come out."""
        return {"steps": self.steps, "bottleneck": self.bottleneck} | self.drawing.parameters()


def _check_bottleneck(config: CheckpointConfig, weights: str, bottleneck: int) -> int:
    """`bottleneck`, a number of any type, as an int. Raises UsageError for one that the weights do
    not have."""
    if bottleneck not in config.bottlenecks:
        known = ", ".join(map(str, config.bottlenecks))
        raise UsageError(f"{weights} has no bottleneck of {bottleneck} numbers", f"it has: {known}")
    return int(bottleneck)


def autoencoder_drawing(
    config: CheckpointConfig, weights: str, **drawing: Unpack[DrawingArguments]
) -> DrawingParameters:
    """`DrawingParameters.from_arguments` for auto-encoders. Also raises UsageError for guidance
    where they never drew without h."""
    if not config.unconditional:
        why_not = "its pictures were never drawn without h"
        check_guidance(weights, drawing.get("guidance"), why_not)
    return DrawingParameters.from_arguments(config, **drawing)
