"""What is asked of a class-conditional model, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pixelgen.checkpoints import CheckpointConfig, SamplingDefaults
from pixelgen.errors import PixelgenError
from pixelgen.labels import parse_classes, rows_of

_USAGE = 2
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn, whatever they are of."""

    seed: int
    """Seed of all random numbers."""
    options: SamplingDefaults
    """Temperature, top-p and guidance."""
    batch_size: int
    """Pictures drawn side by side; the pictures do not depend on it."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        *,
        seed: int | None,
        temperature: float | None,
        top_p: float | None,
        guidance: float | None,
        batch_size: int,
        conditional: bool = True,
        **counts: int,
    ) -> Drawing:
        """Completed by the defaults of the weights and, without `seed`, a drawn one. Without a
        condition there is no guidance. Raises PixelgenError (exit code 2) for bad values, among
        them `counts` below 1."""
        limits = [*((n, v, 1) for n, v in counts.items()), ("batch_size", batch_size, 1)]
        for name, value, low in (*limits, ("seed", seed, 0)):
            if value is not None and not low <= value <= _LARGEST:
                limit = f"at least {low}" if value < low else "below 2^63"
                raise PixelgenError(f"{name} must be {limit}, not {value}", "", _USAGE)
        defaults = config.sampling if conditional else replace(config.sampling, guidance=1.0)
        given = {"temperature": temperature, "top_p": top_p, "guidance": guidance}
        try:
            options = replace(
                defaults, **{name: float(v) for name, v in given.items() if v is not None}
            )
        except ValueError as error:
            raise PixelgenError(str(error), "", _USAGE) from None
        return cls(secrets.randbelow(2**31) if seed is None else seed, options, batch_size)

    def parameters(self) -> dict[str, Any]:
        """What of this, beside the seed, decides how the pictures come out."""
        return asdict(self.options)


@dataclass(frozen=True)
class SampleRequest:
    """Pictures to draw: `n` of every class, or `n` without a class."""

    classes: tuple[int, ...]
    """ILSVRC indices; empty: unconditional."""
    rows: tuple[int, ...]
    """The rows of the model's class table that `classes` stand for."""
    n: int
    """Pictures of every class."""
    drawing: Drawing
    """How they are drawn."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        seed: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        batch_size: int = 16,
    ) -> SampleRequest:
        """The request, completed by the defaults of the weights and, without `seed`, a drawn one.

        Classes are numbers, WordNet ids, names or ranges. Raises PixelgenError (exit code 2) for
        anything that these weights cannot do.
        """
        if not config.draws:
            raise PixelgenError(f"{weights} is a {config.kind}: it draws nothing", "", _USAGE)
        if getattr(config.model, "vector", 0):
            raise PixelgenError(
                f"{weights} draws from a photo or a vector, not from a class", "", _USAGE
            )
        if (channels := config.picture[0]) not in (1, 3):
            raise PixelgenError(
                f"{weights} does not model pictures: it has {channels} channels", "", _USAGE
            )
        found = parse_classes(map(str, classes or ()), config.labels)
        rows = rows_of(found, config.labels, weights) if found else []
        if not found and not config.unconditional:
            raise PixelgenError(
                f"{weights} needs a class",
                f"--class NAME; `pixelgen classes --weights {weights}` lists them",
                _USAGE,
            )
        if not found and guidance not in (None, 1.0):
            raise PixelgenError("guidance needs a class", "--class NAME", _USAGE)
        if not config.unconditional and guidance not in (None, 1.0):
            raise PixelgenError(
                f"{weights} allows no guidance: it was not trained without classes", "", _USAGE
            )
        drawing = Drawing.make(
            config,
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            guidance=guidance,
            batch_size=batch_size,
            conditional=bool(found),
            n=n,
        )
        return cls(tuple(found), tuple(rows), n, drawing)

    @property
    def count(self) -> int:
        """Pictures in all."""
        return self.n * max(len(self.classes), 1)

    def parameters(self) -> dict[str, Any]:
        """What, beside weights, seed and device, decides how the pictures come out."""
        return {"classes": list(self.classes), "n": self.n, **self.drawing.parameters()}
