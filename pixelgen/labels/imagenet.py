"""The 1000 classes of ILSVRC: numbers, WordNet ids and names, searched and parsed.

`imagenet.tsv` has one line per class in ILSVRC order: the WordNet id, a tab, the lemmas.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pixelgen.errors import UsageError

_INDEX = re.compile(r"[+-]?\d{1,9}")
_RANGE = re.compile(r"(\d{1,9})\s*(?:-|–|\.\.)\s*(\d{1,9})")
_WNID = re.compile(r"n\d{8}", re.IGNORECASE)
_HINT = "pixelgen.labels.search finds classes"
_CODE = "unknown-class"
_MAX_NAME = 80  # no name is longer


@dataclass(frozen=True)
class ImageClass:
    """One class of ILSVRC."""

    index: int
    """Its number in ILSVRC order, 0 … 999."""
    wnid: str
    """WordNet id, such as n02099601."""
    names: tuple[str, ...]
    """Its lemmas; the first is the usual name, which is not always unique."""

    def __str__(self) -> str:
        return f"{self.index} {self.names[0]}"


@cache
def imagenet() -> tuple[ImageClass, ...]:
    """All 1000 classes in order."""
    text = resources.files("pixelgen.labels").joinpath("imagenet.tsv").read_text("utf-8")
    pairs = (line.split("\t") for line in text.splitlines())
    return tuple(ImageClass(i, w, tuple(names.split(", "))) for i, (w, names) in enumerate(pairs))


def _plain(text: str) -> str:
    """`text` without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def _listed(classes: Iterable[ImageClass]) -> str:
    return ", ".join(map(str, classes))


def _classes_of(indices: Iterable[int] | None) -> Sequence[ImageClass]:
    """The classes of `indices` in order, or all. Indices beyond ILSVRC are left out."""
    every = imagenet()
    return every if indices is None else [every[i] for i in sorted(indices) if i < len(every)]


def search(query: str, among: Iterable[int] | None = None) -> list[ImageClass]:
    """The classes that match `query`, in order: by number, range, WordNet id or part of a name.

    `among` restricts the search to these indices.
    """
    classes = _classes_of(among)
    query = query.strip()
    if numbers := _RANGE.fullmatch(query):
        low, high = map(int, numbers.groups())
        return [c for c in classes if low <= c.index <= high]
    if _INDEX.fullmatch(query):
        return [c for c in classes if c.index == int(query)]
    plain = _plain(query)
    if query and not plain:  # an empty text would match every name
        return []
    return [c for c in classes if plain == c.wnid or any(plain in _plain(name) for name in c.names)]


def nearest(name: str, among: Iterable[int] | None = None, count: int = 4) -> list[ImageClass]:
    """Up to `count` classes with a name similar to `name`, the most similar first."""
    classes = _classes_of(among)
    plain = _plain(name)[:_MAX_NAME]

    def similarity(c: ImageClass) -> float:
        return max(_similarity(plain, _plain(part)) for name in c.names for part in _parts(name))

    ranked = sorted(((similarity(c), -c.index, c) for c in classes), reverse=True)
    return [c for score, _, c in ranked[:count] if score >= 0.6]


def _parts(name: str) -> list[str]:
    """A name and its words."""
    return [name, *name.replace("-", " ").split()]


def _similarity(a: str, b: str) -> float:
    """0 … 1, at least 0.9 if `a` is a part of `b`."""
    if len(a) >= 3 and a in b:
        return 0.9 + 0.1 * len(a) / len(b)
    return difflib.SequenceMatcher(None, a, b).ratio()


def parse_classes(specs: Iterable[str], trained: Sequence[int] = ()) -> list[int]:
    """ILSVRC indices of class specifications: `207`, `207-210`, `0..9`, `n02099601`, or a name.

    Case and punctuation of names are ignored. A name of several classes means the one in `trained`,
    if only one of them is. Raises UsageError for text that does not name a class.
    """
    return [index for spec in specs for index in _parse(spec.strip(), trained)]


def _parse(spec: str, trained: Sequence[int]) -> list[int]:
    last = len(imagenet()) - 1
    if _INDEX.fullmatch(spec):
        if not 0 <= int(spec) <= last:
            raise UsageError(f"no class {spec}: classes are 0 to {last}", _HINT, code=_CODE)
        return [int(spec)]
    if numbers := _RANGE.fullmatch(spec):
        low, high = map(int, numbers.groups())
        if not low <= high <= last:
            raise UsageError(
                f"no range of classes {spec}: classes are 0 to {last}", _HINT, code=_CODE
            )
        return list(range(low, high + 1))
    plain = _plain(spec)
    if _WNID.fullmatch(spec):
        matches = [c for c in imagenet() if c.wnid == plain]
    else:
        matches = [c for c in imagenet() if plain in map(_plain, c.names)]
    if len(matches) > 1:
        matches = [c for c in matches if c.index in trained] or matches
    if len(matches) > 1:
        raise UsageError(
            f"class {spec!r} is ambiguous: "
            + "; ".join(f"{c.index} {', '.join(c.names[:3])}" for c in matches),
            "give the number of one of them",
        )
    if not matches:
        near = _listed(nearest(spec))
        raise UsageError(
            f"no class {spec!r}" + (f", the nearest are: {near}" if near else ""),
            _HINT,
            code=_CODE,
        )
    return [matches[0].index]


def rows_of(classes: Sequence[int], trained: Sequence[int], weights: str) -> list[int]:
    """The index of each of `classes` in `trained`, the classes of the weights called `weights`: the
    rows of their class condition.

    Raises UsageError for a class that is not among them.
    """
    if not trained:
        raise UsageError(f"{weights} takes no class: it is unconditional")
    row = {index: number for number, index in enumerate(trained)}
    unknown = [c for c in classes if c not in row]
    if unknown:
        # ILSVRC order follows the WordNet tree, so that neighbouring numbers are related classes.
        near = sorted(trained, key=lambda i: abs(i - unknown[0]))[:4]
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        first = next(iter(_classes_of(unknown[:1])), unknown[0])
        raise UsageError(
            f"{weights} was not trained on class {first}{more}; it knows {len(trained)} classes, "
            f"the nearest are: {_listed(_classes_of(near))}",
            "the labels of their configuration list them",
            code="class-not-trained",
        )
    return [row[c] for c in classes]
