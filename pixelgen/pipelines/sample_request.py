"""Pictures of classes to draw, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.drawing import (
    DrawingArguments,
    DrawingParameters,
    check_whole,
    random_seed,
)
from pixelgen.pipelines.request_checks import (
    check_draws_pictures,
    check_guidance,
    draw_kinds,
    find_classes,
    find_groups,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


_DEFAULT_DRAWS = 64
"""Pictures that a call draws by default, at most, to choose among candidates: where more are asked
for, each has fewer candidates, so that it takes seconds."""


@dataclass(frozen=True)
class SampleRequest:
    """Pictures to draw: `n` of every class, `n` without a class, or `steps` from the first class
    through the others to the last."""

    classes: tuple[int, ...]
    """Numbers; empty: unconditional."""
    rows: tuple[int, ...]
    """The rows of the model's class table that `classes` stand for."""
    n: int
    """Pictures of every class."""
    drawing: DrawingParameters
    """How they are drawn."""
    steps: int | None = None
    """Frames of an interpolation between the classes; None: `n` pictures of every class."""
    groups: tuple[str, ...] = ()
    """Names of the groups that some of `classes` were drawn from."""

    @classmethod
    def from_options(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        steps: int | None = None,
        null_vector: bool = False,
        **drawing: Unpack[DrawingArguments],
    ) -> SampleRequest:
        """The request, completed by the defaults of the weights and, without `seed`, a random one.

        Classes are numbers, WordNet ids, names or ranges. A name or WordNet id of a group, such as
        "dog", stands for `n` of its classes that the weights know, drawn by the seed; there is one
        picture of each then, and the request is for these classes, one by one. Without
        `candidates`, each picture is the best of as many as the weights say, of fewer if that were
        more than 64 in all. With `null_vector`, weights that draw from a photo or a vector do so
        without one. Raises UsageError for anything that these weights cannot do.
        """
        vectors = bool(config.model.vector_components) and not null_vector
        if config.model.vector and not vectors and not null_vector:
            raise UsageError(f"{weights} draws from a photo or a vector, not from a class")
        check_draws_pictures(config, weights)
        guidance = drawing.get("guidance")
        groups: dict[str, list[int]] = {}
        if steps is None and not null_vector:
            groups = find_groups(config, weights, classes or ())
        if groups:
            seed = drawing.get("seed")
            seed = random_seed() if seed is None else check_whole("seed", seed, 0)
            drawing["seed"] = seed
            n = check_whole("n", n, 1)
            check_amount(n * len(classes or ()), config.image_shape)
            classes, n = draw_kinds(config, classes or (), groups, n, seed), 1
        indices, rows = find_classes(config, weights, classes or ())
        conditional = bool(indices) or config.has_prior
        if not conditional and not config.labels:
            check_guidance(weights, guidance, "it has no condition to guide by here")
        if not conditional and guidance not in (None, 1.0):
            raise UsageError(
                "guidance needs a class", "give classes", code="guidance-without-class"
            )
        if not config.unconditional:
            condition = "a latent" if config.has_prior else "classes"
            check_guidance(weights, guidance, f"it was not trained without {condition}")
        if steps is not None and len(indices) < 2:
            raise UsageError(
                "at least 2 classes must be given", "give classes", code="path-needs-classes"
            )
        uses_candidates = bool(indices) and steps is None and not null_vector
        if uses_candidates and not (config.unconditional or config.has_imagenet_classes):
            # log p(x) of one that was never trained without a class says nothing.
            uses_candidates = False
            if drawing.get("candidates") is not None:
                raise UsageError(
                    f"{weights} cannot choose among candidates: it was not trained without classes",
                    "leave them out",
                )
        if steps is None:
            n = check_whole("n", n, 1)
        else:
            steps = check_whole("steps", steps, len(indices))
        parameters = DrawingParameters.from_arguments(
            config,
            conditional=conditional,
            uses_vectors=config.has_prior or (vectors and bool(indices)),
            uses_candidates=uses_candidates,
            **drawing,
        )
        if uses_candidates and drawing.get("candidates") is None:
            most = max(_DEFAULT_DRAWS // (n * len(indices)), 1)
            candidates = min(parameters.options.candidates, most)
            options = replace(parameters.options, candidates=candidates)
            parameters = replace(parameters, options=options)
        if parameters.options.candidates == config.sampling.candidates == 1:
            # The pictures are those of versions without candidates, and say the same of themselves.
            parameters = replace(parameters, uses_candidates=False)
        request = cls(tuple(indices), tuple(rows), n, parameters, steps, tuple(groups))
        parameters.picks(request.count)  # is there such a picture?
        return request

    @property
    def count(self) -> int:
        """Pictures of the call, of which `drawing.pick` may choose one."""
        return self.n * max(len(self.classes), 1) if self.steps is None else self.steps

    @property
    def picks(self) -> Sequence[int]:
        """Numbers, from 1, of those that are drawn."""
        return self.drawing.picks(self.count)

    @property
    def candidates(self) -> int:
        """Pictures drawn for each that is kept."""
        return self.drawing.options.candidates if self.drawing.uses_candidates else 1

    @property
    def candidate_count(self) -> int:
        """Pictures of the call in all, those that are not kept included."""
        return self.count * self.candidates

    @property
    def labels(self) -> list[int | None]:
        """Class number of every picture that is drawn; None where it has no class, or lies between
        two."""
        if self.steps is not None or not self.classes:
            return [None for _ in self.picks]
        return [self.classes[(pick - 1) // self.n] for pick in self.picks]

    def parameters(self) -> dict[str, Any]:
        """What, beside weights, seed, pick and device, decides how the pictures come out."""
        amount = {"n": self.n} if self.steps is None else {"steps": self.steps}
        return {"classes": list(self.classes), **amount, **self.drawing.parameters()}
