"""The 1000 classes of ILSVRC: numbers, WordNet ids and names.

`imagenet.tsv` has one line per class in ILSVRC order: the WordNet id, a tab, the lemmas.
`imagenet_groups.tsv` has one line for every synset above two or more of them in WordNet: its id,
its lemmas, and the numbers of the classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

from pixelgen.labels.catalogue import ClassCatalogue, ClassGroup, ImageClass


@cache
def imagenet() -> tuple[ImageClass, ...]:
    """All 1000 classes in order."""
    text = resources.files("pixelgen.labels").joinpath("imagenet.tsv").read_text("utf-8")
    pairs = (line.split("\t") for line in text.splitlines())
    return tuple(ImageClass(i, w, tuple(names.split(", "))) for i, (w, names) in enumerate(pairs))


@cache
def imagenet_groups() -> tuple[ClassGroup, ...]:
    """Groups of classes, by WordNet, the largest first."""
    text = resources.files("pixelgen.labels").joinpath("imagenet_groups.tsv").read_text("utf-8")
    groups = []
    for line in text.splitlines():
        wnid, names, ranges = line.split("\t")
        ends = [part.partition("-") for part in ranges.split(",")]
        indices = [i for a, _, b in ends for i in range(int(a), int(b or a) + 1)]
        groups.append(ClassGroup(wnid, tuple(names.split(", ")), tuple(indices)))
    return tuple(groups)


@cache
def imagenet_catalogue() -> ClassCatalogue:
    """All classes and groups, to be searched."""
    return ClassCatalogue(imagenet(), imagenet_groups)


def search(query: str, among: Iterable[int] | None = None) -> list[ImageClass]:
    """See `ClassCatalogue.search`."""
    return imagenet_catalogue().search(query, among)


def parse_classes(specs: Iterable[int | str], trained: Sequence[int] = ()) -> list[int]:
    """See `ClassCatalogue.parse`."""
    return imagenet_catalogue().parse(specs, trained)


def imagenet_indices(names: Sequence[str]) -> list[int] | None:
    """The ILSVRC index of every one of a data set's class names, if they are the names of ILSVRC:
    WordNet ids, or in ILSVRC order the lemmas of each class; None for other names."""
    every = imagenet()
    by_wnid = {c.wnid: c.index for c in every}
    if names and all(name in by_wnid for name in names):
        return [by_wnid[name] for name in names]
    if len(names) == len(every) and all(
        {*name.split(", ")} & {*c.names} for name, c in zip(names, every, strict=True)
    ):
        return list(range(len(every)))
    return None
