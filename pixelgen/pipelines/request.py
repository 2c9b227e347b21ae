"""What is asked of a model that draws, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

from pixelgen.checkpoints import CheckpointConfig, SamplingDefaults
from pixelgen.errors import UsageError
from pixelgen.labels import parse_classes, rows_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LARGEST = 2**63 - 1


class DrawingOptions(TypedDict, total=False):
    """How pictures are drawn, as users say it."""

    seed: int | None
    """Seed of all random numbers; None: one is drawn."""
    temperature: float | None
    """Below 1: likelier pictures; None, here and below: the weights' own default."""
    top_p: float | None
    """Share of the probability that is kept."""
    guidance: float | None
    """Above 1: more like what is asked for."""
    vector_temperature: float | None
    """Below 1: vectors of classes nearer to the middle of their class. For weights that draw these
    first."""
    batch_size: int
    """Pictures drawn side by side; the pictures do not depend on it."""


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn, whatever they are of."""

    seed: int
    """Seed of all random numbers."""
    options: SamplingDefaults
    """Temperature, top-p and guidance."""
    batch_size: int
    """Pictures drawn side by side; the pictures do not depend on it."""
    vectors: bool = False
    """Whether a vector of its class is drawn for each picture first."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        amount: tuple[str, int, int],
        *,
        seed: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        vector_temperature: float | None = None,
        batch_size: int = 32,
        conditional: bool = True,
        vectors: bool = False,
    ) -> Drawing:
        """Completed by the defaults of the weights and, without `seed`, a drawn one. Without a
        condition there is no guidance, and only with `vectors` a `vector_temperature`. Raises
        PixelgenError (exit code 2) for bad values, among them an `amount` (name, value and least
        value) that is too small."""
        for name, value, low in (amount, ("batch_size", batch_size, 1), ("seed", seed, 0)):
            if value is not None:
                check_whole(name, value, low)
        defaults = config.sampling if conditional else replace(config.sampling, guidance=1.0)
        if vector_temperature is not None and not vectors:
            raise UsageError("no vectors of classes are drawn here")
        given = {
            "temperature": temperature,
            "top_p": top_p,
            "guidance": guidance,
            "vector_temperature": vector_temperature,
        }
        try:
            chosen: dict[str, Any] = {n: float(v) for n, v in given.items() if v is not None}
            options = replace(defaults, **chosen)
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from None
        seed = secrets.randbelow(2**31) if seed is None else int(seed)
        return cls(seed, options, batch_size, vectors)

    def parameters(self) -> dict[str, Any]:
        """What of this, beside the seed, decides how the pictures come out."""
        options = asdict(self.options)
        del options["candidates"]  # where there are some, the request counts them
        if not self.vectors:
            del options["vector_temperature"]
        return options


def check_whole(name: str, value: int, low: int) -> None:
    """Raises PixelgenError (exit code 2) for a `value` that is no whole number, is below `low`, or
    has more than 63 bits."""
    if not hasattr(value, "__index__"):
        raise UsageError(f"{name} must be a whole number, not {value!r}")
    if not low <= value <= _LARGEST:
        limit = f"at least {low}" if value < low else "below 2^63"
        raise UsageError(f"{name} must be {limit}, not {value}")


def find_classes(
    config: CheckpointConfig, weights: str, classes: Sequence[int | str]
) -> tuple[list[int], list[int]]:
    """ILSVRC indices of numbers, WordNet ids, names and ranges, and their rows in the model's class
    table; none for no class. Raises PixelgenError (exit code 2) for classes that these weights do
    not know, and for none where they need one."""
    found = parse_classes(map(str, classes), config.labels)
    if not found and not config.unconditional:
        raise UsageError(
            f"{weights} needs a class",
            f"--class NAME; `pixelgen classes --weights {weights}` lists them",
        )
    return found, rows_of(found, config.labels, weights) if found else []


def check_reads_photos(config: CheckpointConfig, weights: str) -> None:
    """Raises PixelgenError (exit code 2) for weights whose model does not take in any photo, as
    pixels or as codes."""
    if config.bottlenecks:
        raise config.cannot_sample_error(weights)
    if not config.can_sample:
        raise UsageError(f"{weights} is {config.kind_with_article}: it has no likelihood")
    channels, height, width = config.image_shape
    levels = 256 if config.tokenizer is not None else getattr(config.model, "levels", 0)
    if channels not in (1, 3) or levels != 256:
        raise UsageError(f"{weights} models other values than those of pictures")
    if height != width:
        raise UsageError(f"{weights} models pictures of {width}×{height} pixels, not square ones")


@dataclass(frozen=True)
class SampleRequest:
    """Pictures to draw: `n` of every class, `n` without a class, or `steps` from the first class
    through the others to the last."""

    classes: tuple[int, ...]
    """ILSVRC indices; empty: unconditional."""
    rows: tuple[int, ...]
    """The rows of the model's class table that `classes` stand for."""
    n: int
    """Pictures of every class."""
    drawing: Drawing
    """How they are drawn."""
    steps: int | None = None
    """Pictures on the way through the classes; None: there is no way, and `n` counts."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        steps: int | None = None,
        null_vector: bool = False,
        **drawing: Unpack[DrawingOptions],
    ) -> SampleRequest:
        """The request, completed by the defaults of the weights and, without `seed`, a drawn one.

        Classes are numbers, WordNet ids, names or ranges. With `null_vector`, weights that draw
        from a photo or a vector do so without one. Raises PixelgenError (exit code 2) for anything
        that these weights cannot do.
        """
        vectors = bool(config.model.vector_components) and not null_vector
        if config.model.vector and not vectors and not null_vector:
            raise UsageError(f"{weights} draws from a photo or a vector, not from a class")
        _check_draws_pictures(config, weights)
        guidance = drawing.get("guidance")
        found, rows = find_classes(config, weights, classes or ())
        if not found and guidance not in (None, 1.0):
            raise UsageError("guidance needs a class", "--class NAME")
        if not config.unconditional and guidance not in (None, 1.0):
            raise UsageError(f"{weights} allows no guidance: it was not trained without classes")
        if steps is not None and len(found) < 2:
            raise UsageError("at least 2 classes must be given", "--class NAME")
        amount = ("n", n, 1) if steps is None else ("steps", steps, len(found))
        made = Drawing.make(
            config, amount, conditional=bool(found), vectors=vectors and bool(found), **drawing
        )
        return cls(tuple(found), tuple(rows), n, made, steps)

    @property
    def count(self) -> int:
        """Pictures in all."""
        return self.n * max(len(self.classes), 1) if self.steps is None else self.steps

    def parameters(self) -> dict[str, Any]:
        """What, beside weights, seed and device, decides how the pictures come out."""
        amount = {"n": self.n} if self.steps is None else {"steps": self.steps}
        return {"classes": list(self.classes), **amount, **self.drawing.parameters()}


@dataclass(frozen=True)
class PortraitRequest:
    """Portraits to draw: of the person in some photos, or on the way from face to face."""

    photos: int
    """Photos that they are drawn from."""
    face_size: int
    """Side of the aligned faces that are cut out of these, pixels."""
    count: int
    """Portraits in all."""
    path: bool
    """Whether they lead from the face in the first photo through the others to the last, rather
    than that all photos show one person."""
    slerp: bool
    """Whether such a path follows the sphere of embeddings, rather than straight lines."""
    drawing: Drawing
    """How they are drawn."""
    each: int = 1
    """Candidates of each portrait, or of the whole path, of which the one that is most like who is
    asked for is kept."""

    @classmethod
    def of_person(
        cls,
        config: CheckpointConfig,
        weights: str,
        photos: int,
        n: int = 8,
        candidates: int | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> PortraitRequest:
        """`n` portraits of the person in `photos` photos, each the best of some `candidates`,
        completed as `Drawing.make` does. Raises PixelgenError (exit code 2) for anything that these
        weights cannot do."""
        size = _face_size(config, weights, drawing.get("guidance"))
        if photos < 1:
            raise UsageError("a photo must be given")
        made = Drawing.make(config, ("n", n, 1), **drawing)
        each = _candidates(config, candidates, n)
        return cls(photos, size, n, path=False, slerp=False, drawing=made, each=each)

    @classmethod
    def along_path(
        cls,
        config: CheckpointConfig,
        weights: str,
        photos: int,
        steps: int = 9,
        *,
        slerp: bool = False,
        candidates: int | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> PortraitRequest:
        """`steps` portraits, at least one for each of the `photos` that the path leads through, the
        best of some `candidates` for all of it. Completes and raises as `of_person` does."""
        size = _face_size(config, weights, drawing.get("guidance"))
        if photos < 2:
            raise UsageError("at least 2 photos must be given")
        made = Drawing.make(config, ("steps", steps, photos), **drawing)
        each = _candidates(config, candidates, steps)
        return cls(photos, size, steps, path=True, slerp=slerp, drawing=made, each=each)

    @property
    def candidates(self) -> int:
        """Pictures to draw in all."""
        return self.count * self.each

    def parameters(self) -> dict[str, Any]:
        """What, beside photos, weights, seed and device, decides how the portraits come out."""
        amount = {"steps": self.count, "slerp": self.slerp} if self.path else {"n": self.count}
        return amount | self.drawing.parameters() | {"candidates": self.each}


@dataclass(frozen=True)
class CompletionRequest:
    """Pictures to complete."""

    sample: SampleRequest
    """What to draw into the hole, as if it were the whole picture."""
    refine: int
    """Candidates of each picture."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        refine: int = 1,
        **drawing: Unpack[DrawingOptions],
    ) -> CompletionRequest:
        """`n` completions for each of `classes`, or without a class; what is left out is chosen as
        by `SampleRequest.make`. Raises PixelgenError (exit code 2) for anything that these weights
        cannot do."""
        check_reads_photos(config, weights)
        check_whole("refine", refine, 1)
        sample = SampleRequest.make(
            config, weights, classes=classes, n=n, null_vector=True, **drawing
        )
        return cls(sample, refine)

    @property
    def candidates(self) -> int:
        """Pictures to draw in all."""
        return self.sample.count * self.refine

    def parameters(self) -> dict[str, Any]:
        """What, beside photo, hole, weights, seed and device, decides how the pictures come out."""
        return {**self.sample.parameters(), "refine": self.refine}


def _check_draws_pictures(config: CheckpointConfig, weights: str) -> None:
    """Raises PixelgenError (exit code 2) for weights that draw nothing, or no pictures."""
    if not config.can_sample:
        raise config.cannot_sample_error(weights)
    if (channels := config.image_shape[0]) not in (1, 3):
        raise UsageError(f"{weights} does not model pictures: it has {channels} channels")


def _candidates(config: CheckpointConfig, given: int | None, count: int) -> int:
    """How many are drawn for each of `count` portraits. Raises PixelgenError (exit code 2) for what
    cannot be counted."""
    each = config.sampling.candidates if given is None else given
    check_whole("candidates", each, 1)
    check_whole("pictures in all", count * each, 1)
    return each


def _face_size(config: CheckpointConfig, weights: str, guidance: float | None) -> int:
    """Side of the faces that the weights see; raises PixelgenError (exit code 2) for weights that
    draw no faces, or not with this `guidance`."""
    _check_draws_pictures(config, weights)
    if config.embedder is None:
        raise UsageError(f"{weights} has no face embedder")
    if config.training.get("class_dropout", 1) == 0 and guidance not in (None, 1.0):
        raise UsageError(f"{weights} allows no guidance: it was not trained without faces")
    return config.embedder.size
