"""What several kinds of requests ask of weights, before anything heavy is loaded. No torch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError


def find_classes(
    config: CheckpointConfig, weights: str, classes: Sequence[int | str]
) -> tuple[list[int], list[int]]:
    """Numbers of classes given by number, WordNet id, name or range, and their rows in the model's
    class table; empty without classes. Raises UsageError for classes that these weights do not
    know, and for no class where they need one."""
    _check_takes_classes(config, weights, classes)
    catalogue = config.classes
    indices = catalogue.parse(classes, config.labels)
    if not indices and config.labels and not config.unconditional:
        raise UsageError(f"{weights} needs a class", "give classes", code="class-needed")
    return indices, catalogue.rows_of(indices, config.labels, weights) if indices else []


def find_groups(
    config: CheckpointConfig, weights: str, classes: Sequence[int | str]
) -> dict[str, list[int]]:
    """Those of `classes` that name groups, such as "dog", each with the numbers of its classes that
    the weights know. Raises UsageError for groups of which they know none, and for weights without
    classes."""
    _check_takes_classes(config, weights, classes)
    catalogue, trained = config.classes, config.labels
    kinds = {str(spec): catalogue.kinds(str(spec), trained, weights) for spec in classes}
    return {spec: members for spec, members in kinds.items() if members}


def _check_takes_classes(
    config: CheckpointConfig, weights: str, classes: Sequence[int | str]
) -> None:
    if classes and not config.labels:
        raise UsageError(f"{weights} takes no class: it is unconditional")


def draw_kinds(
    config: CheckpointConfig,
    classes: Sequence[int | str],
    groups: Mapping[str, Sequence[int]],
    n: int,
    seed: int,
) -> list[int]:
    """The class of each of `n` pictures for every one of `classes`: of those in `groups`, `n` of
    their members in a random order given by `seed`, all of them before one comes again."""
    drawn: list[int] = []
    for number, spec in enumerate(classes):
        if (members := groups.get(str(spec))) is None:
            drawn += [
                index for index in config.classes.parse([spec], config.labels) for _ in range(n)
            ]
            continue
        order = random.Random(f"{seed}, group {number}")
        for first in range(0, n, len(members)):
            drawn += order.sample(members, len(members))[: n - first]
    return drawn


def check_draws_pictures(config: CheckpointConfig, weights: str) -> None:
    """Raises UsageError for weights that draw nothing, or no pictures."""
    if not config.can_sample:
        raise config.cannot_sample_error(weights)
    if (channels := config.image_shape[0]) not in (1, 3):
        raise UsageError(f"{weights} does not model pictures: it has {channels} channels")


def check_reads_photos(config: CheckpointConfig, weights: str) -> None:
    """Raises UsageError for weights whose model does not read photos, as pixels or as codes, or
    only ones whose vector is given."""
    if config.has_prior:
        return  # it reads RGB squares
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
    if not config.labels and not config.unconditional:
        given = "vectors" if config.embedder is None else "faces"
        raise UsageError(f"{weights} draws from {given} alone: it was not trained without them")


def check_guidance(weights: str, guidance: float | None, why_not: str) -> None:
    """Raises UsageError for guidance other than 1, where `why_not` says what it lacks."""
    if guidance not in (None, 1.0):
        raise UsageError(f"{weights} allows no guidance: {why_not}")
