"""What is asked of weights that draw pictures anew, checked before anything heavy is loaded. No
torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.request import Drawing, DrawingOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

SAMPLES = 3
"""Of each picture and bottleneck, where the user does not say."""


@dataclass(frozen=True)
class ReconstructRequest:
    """Pictures to make anew, by auto-encoders or by a tokenizer."""

    bottlenecks: tuple[int, ...]
    """Of the auto-encoders, the smallest first; none: it is a tokenizer that is asked."""
    n: int
    """Samples of each picture and bottleneck."""
    drawing: Drawing | None
    """How they are drawn; None for a tokenizer, which draws nothing."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        bottlenecks: Sequence[int] | None = None,
        n: int | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> ReconstructRequest:
        """The request, completed by the defaults of the weights and, without `seed`, a drawn one.

        Raises PixelgenError (exit code 2) for anything that these weights cannot do.
        """
        if not config.bottlenecks:
            if not config.can_encode:
                raise UsageError(
                    f"{weights} reconstructs nothing: it holds no auto-encoder and no tokenizer",
                )
            given = {"bottlenecks": bottlenecks or None, "n": n, **drawing}
            for name, value in given.items():
                if name != "batch_size" and value is not None:
                    raise UsageError(
                        f"{name} is for auto-encoders, {weights} reconstructs by its tokenizer",
                    )
            return cls((), 0, None)
        chosen = tuple(sorted(set(bottlenecks or config.bottlenecks)))
        for bottleneck in chosen:
            _check_bottleneck(config, weights, bottleneck)
        n = SAMPLES if n is None else n
        return cls(chosen, n, drawing_given_h(config, weights, ("n", n, 1), drawing))

    def parameters(self) -> dict[str, Any]:
        """What, beside pictures, weights, seed and device, decides how they come out."""
        if self.drawing is None:
            return {}
        own = {"bottlenecks": list(self.bottlenecks), "n": self.n}
        return own | self.drawing.parameters()

    @property
    def columns(self) -> tuple[str, ...]:
        """What is shown of every picture, in order, as parts of file names."""
        if self.drawing is None:
            return ("original", "reconstructed")
        made: list[str] = []
        for bottleneck in self.bottlenecks:
            made.append(f"{bottleneck}-mean")
            made += [f"{bottleneck}-sample-{i + 1}" for i in range(self.n)]
        return ("original", *made)


@dataclass(frozen=True)
class InterpolationRequest:
    """Pictures to draw on the way from the h of one picture to that of another."""

    photos: int
    """Pictures that the way leads through."""
    bottleneck: int
    """Of the auto-encoder."""
    steps: int
    """Pictures to draw."""
    drawing: Drawing
    """How they are drawn."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        weights: str,
        photos: int,
        steps: int = 9,
        *,
        bottleneck: int | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> InterpolationRequest:
        """`steps` pictures, at least one for each of the `photos` that the way leads through, with
        the largest bottleneck unless another is asked for. Completes and raises as
        `ReconstructRequest.make` does."""
        if not config.bottlenecks:
            raise UsageError(f"{weights} has no auto-encoder")
        chosen = max(config.bottlenecks) if bottleneck is None else bottleneck
        _check_bottleneck(config, weights, chosen)
        if photos < 2:
            raise UsageError("at least 2 photos must be given")
        made = drawing_given_h(config, weights, ("steps", steps, photos), drawing)
        return cls(photos, chosen, steps, made)

    def parameters(self) -> dict[str, Any]:
        """What, beside pictures, weights, seed and device, decides how they come out."""
        return {"steps": self.steps, "bottleneck": self.bottleneck} | self.drawing.parameters()


def _check_bottleneck(config: CheckpointConfig, weights: str, bottleneck: int) -> None:
    """Raises PixelgenError (exit code 2) for one that the weights do not have."""
    if bottleneck not in config.bottlenecks:
        there = ", ".join(map(str, config.bottlenecks))
        raise UsageError(f"{weights} has no bottleneck of {bottleneck} numbers", f"it has: {there}")


def drawing_given_h(
    config: CheckpointConfig, weights: str, amount: tuple[str, int, int], drawing: DrawingOptions
) -> Drawing:
    """`Drawing.make` for auto-encoders. Raises PixelgenError (exit code 2) for guidance where they
    never drew without h."""
    if not config.unconditional and drawing.get("guidance") not in (None, 1.0):
        raise UsageError(
            f"{weights} allows no guidance: its pictures were never drawn without a code",
        )
    return Drawing.make(config, amount, **drawing)
