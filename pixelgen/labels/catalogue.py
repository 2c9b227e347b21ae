"""Classes that people write as numbers or names: those of ILSVRC, or a data set's own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pixelgen.errors import UsageError

_INDEX = re.compile(r"[+-]?\d{1,9}")
_RANGE = re.compile(r"(\d{1,9})\s*(?:-|–|\.\.)\s*(\d{1,9})")
_WNID = re.compile(r"n\d{8}", re.IGNORECASE)
_HINT = "pixelgen.labels.search finds classes"
_CODE = "unknown-class"
_MAX_NAME = 80
"""Letters of a name that are compared; no name of ILSVRC is longer."""
_FEW = 12
"""Classes that an error lists in full."""


@dataclass(frozen=True)
class ImageClass:
    """One class."""

    index: int
    """Its number: in ILSVRC order, 0 … 999, or in the data set."""
    wnid: str
    """WordNet id, such as n02099601; empty for the classes of other data sets."""
    names: tuple[str, ...]
    """Its names; the first is the usual one, which is not always unique."""

    def __str__(self) -> str:
        return f"{self.index} {self.names[0]}"


@dataclass(frozen=True)
class ClassGroup:
    """Several classes that have a name together, such as all kinds of dogs."""

    wnid: str
    """WordNet id."""
    names: tuple[str, ...]
    """Its names."""
    indices: tuple[int, ...]
    """The numbers of its classes, in order."""


class ClassCatalogue:
    """Classes by number, searched and parsed."""

    def __init__(
        self, classes: Iterable[ImageClass], groups: Callable[[], Iterable[ClassGroup]] = tuple
    ) -> None:
        """`groups` is called when a name is not that of a class."""
        self._by_index = {c.index: c for c in sorted(classes, key=lambda c: c.index)}
        self._groups = groups

    @staticmethod
    def named(labels: Sequence[int], names: Sequence[str]) -> ClassCatalogue:
        """A data set's own classes: `names[i]` is that of number `labels[i]`."""
        pairs = zip(labels, names, strict=True)
        return ClassCatalogue(ImageClass(label, "", (name,)) for label, name in pairs)

    def __iter__(self) -> Iterator[ImageClass]:
        """In order of their numbers."""
        return iter(self._by_index.values())

    def __len__(self) -> int:
        return len(self._by_index)

    def get(self, index: int) -> ImageClass | None:
        """The class of a number."""
        return self._by_index.get(index)

    def name(self, index: int) -> str:
        """The usual name of a class; a number without a class is called "class 1234"."""
        found = self._by_index.get(index)
        return f"class {index}" if found is None else found.names[0]

    def among(self, indices: Iterable[int] | None) -> list[ImageClass]:
        """The classes of `indices` in order, or all; numbers without a class are left out."""
        if indices is None:
            return list(self)
        return [self._by_index[i] for i in sorted({*indices}) if i in self._by_index]

    def group(self, name: str, among: Iterable[int] = ()) -> list[int]:
        """The numbers of the classes of all groups called `name` (a name or WordNet id), in order,
        those in `among` if there are any; empty where no group is called so."""
        plain = _plain(name)
        if not plain or _INDEX.fullmatch(name.strip()):
            return []
        members = {
            index
            for group in self._groups()
            if plain == group.wnid or plain in map(_plain, group.names)
            for index in group.indices
        }
        known = members & {*among}
        return sorted(known or members)

    def search(self, query: str, among: Iterable[int] | None = None) -> list[ImageClass]:
        """The classes that match `query`, in order: by number or range, which may also be all of
        a name, by WordNet id, or by part of a name.

        `among` restricts the search to these indices.
        """
        classes = self.among(among)
        query = query.strip()
        if numbers := _RANGE.fullmatch(query):
            low, high = map(int, numbers.groups())
            return [c for c in classes if low <= c.index <= high or query in c.names]
        if _INDEX.fullmatch(query):
            return [c for c in classes if c.index == int(query) or query in c.names]
        plain = _plain(query)
        if query and not plain:  # an empty text would match every name
            return []
        group = {*self.group(query)}
        return [
            c
            for c in classes
            if plain == c.wnid or c.index in group or any(plain in _plain(n) for n in c.names)
        ]

    def nearest(
        self, name: str, among: Iterable[int] | None = None, count: int = 4
    ) -> list[ImageClass]:
        """Up to `count` classes with a name similar to `name`, the most similar first."""
        plain = _plain(name)[:_MAX_NAME]

        def similarity(c: ImageClass) -> float:
            return max(
                _similarity(plain, _plain(part)) for name in c.names for part in _parts(name)
            )

        ranked = sorted(((similarity(c), -c.index, c) for c in self.among(among)), reverse=True)
        return [c for score, _, c in ranked[:count] if score >= 0.6]

    def parse(self, specs: Iterable[int | str], trained: Sequence[int] = ()) -> list[int]:
        """Numbers of class specifications: 207, or a text: `207`, `207-210`, `0..9`, `n02099601`,
        or a name.

        A text that is exactly the name of a class means that one, also if it looks like a number or
        a range; otherwise case and punctuation of names are ignored. A name of several classes
        means the one in `trained`, if only one of them is. Raises UsageError for what does not name
        a class.
        """
        return [index for spec in specs for index in self._parse(spec, trained)]

    def find(self, name: str) -> int | None:
        """The number of the class that `parse` finds; None where it finds none or several."""
        try:
            indices = self.parse([name])
        except UsageError:
            return None
        return indices[0] if len(indices) == 1 else None

    def kinds(self, spec: str, trained: Sequence[int], weights: str) -> list[int]:
        """The numbers of the classes in `trained` of the group that `spec` names; empty where it is
        the name of a class, or of no group. Raises UsageError for a group without any of `trained`,
        the classes of the weights called `weights`."""
        spec = spec.strip()
        if self._matches(spec):
            return []
        members = self.group(spec, trained)
        if len(members) < 2:
            return []
        if trained and not {*members} & {*trained}:
            raise UsageError(
                f"{weights} was trained on none of the {len(members)} classes of the group "
                f"{spec!r}, such as {_listed(self.among(members[:2]))}",
                "the labels of their configuration list what they know",
                code="class-not-trained",
            )
        return members

    @cached_property
    def _by_name(self) -> dict[str, list[ImageClass]]:
        """The classes of every name without case, spaces and punctuation, in order."""
        by_name: dict[str, list[ImageClass]] = {}
        for c in self:
            for plain in dict.fromkeys(map(_plain, c.names)):
                by_name.setdefault(plain, []).append(c)
        return by_name

    def _matches(self, spec: str) -> list[ImageClass]:
        """The classes that a name or a WordNet id names, usually one; only where they are several,
        case and punctuation decide."""
        plain = _plain(spec)
        if _WNID.fullmatch(spec) and any(c.wnid for c in self):
            return [c for c in self if c.wnid == plain]
        if not plain:  # of no letters at all
            return [c for c in self if spec in c.names]
        alike = self._by_name.get(plain, [])
        return alike if len(alike) < 2 else [c for c in alike if spec in c.names] or alike

    def _parse(self, given: int | str, trained: Sequence[int]) -> list[int]:
        spec = str(given).strip()
        named = [] if isinstance(given, int) else [c.index for c in self if spec in c.names]
        if len(named) == 1:
            return named
        if _INDEX.fullmatch(spec):
            if int(spec) not in self._by_index:
                raise UsageError(f"no class {spec}: {self._extent()}", _HINT, code=_CODE)
            return [int(spec)]
        if numbers := _RANGE.fullmatch(spec):
            low, high = map(int, numbers.groups())
            if not (low <= high and {low, high} <= self._by_index.keys()):
                raise UsageError(f"no range of classes {spec}: {self._extent()}", _HINT, code=_CODE)
            return [c.index for c in self if low <= c.index <= high]
        matches = self._matches(spec)
        if len(matches) > 1:
            matches = [c for c in matches if c.index in trained] or matches
        if len(matches) > 1:
            raise UsageError(
                f"class {spec!r} is ambiguous: "
                + "; ".join(f"{c.index} {', '.join(c.names[:3])}" for c in matches),
                "give the number of one of them",
            )
        if not matches:
            members = self.group(spec, trained)
            if len(members) == 1:
                return members
            if members:
                some = _listed(self.among(members[:4]))
                raise UsageError(
                    f"{spec!r} is a group of {len(members)} classes: {some}"
                    + ", …" * (len(members) > 4),
                    "name one of them",
                )
            near = _listed(self.nearest(spec, trained or None))
            known = f", the nearest are: {near}" if near else ""
            if len(self) <= _FEW:
                known = f", there are: {_listed(self)}"
            raise UsageError(f"no class {spec!r}{known}", _HINT, code=_CODE)
        return [matches[0].index]

    def _extent(self) -> str:
        """Which numbers there are."""
        if len(self) <= _FEW:
            return f"there are: {_listed(self)}"
        return f"classes are {min(self._by_index)} to {max(self._by_index)}"

    def rows_of(self, classes: Sequence[int], trained: Sequence[int], weights: str) -> list[int]:
        """The index of each of `classes` in `trained`, the classes of the weights called `weights`:
        the rows of their class condition.

        Raises UsageError for a class that is not among them.
        """
        if not trained:
            raise UsageError(f"{weights} takes no class: it is unconditional")
        row = {index: number for number, index in enumerate(trained)}
        unknown = [c for c in classes if c not in row]
        if unknown:
            # ILSVRC order follows the WordNet tree, so that neighbouring numbers are related.
            near = sorted(trained, key=lambda i: abs(i - unknown[0]))[:4]
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            first = self.get(unknown[0]) or unknown[0]
            raise UsageError(
                f"{weights} was not trained on class {first}{more}; it knows {len(trained)} "
                f"classes, the nearest are: {_listed(self.among(near))}",
                "the labels of their configuration list them",
                code="class-not-trained",
            )
        return [row[c] for c in classes]


def _plain(text: str) -> str:
    """`text` without case, spaces and punctuation."""
    return "".join(c for c in text.casefold() if c.isalnum())


def _listed(classes: Iterable[ImageClass]) -> str:
    return ", ".join(map(str, classes))


def _parts(name: str) -> list[str]:
    """A name and its words."""
    return [name, *name.replace("-", " ").split()]


def _similarity(a: str, b: str) -> float:
    """0 … 1, at least 0.9 if `a` is a part of `b`."""
    if len(a) >= 3 and a in b:
        return 0.9 + 0.1 * len(a) / len(b)
    return difflib.SequenceMatcher(None, a, b).ratio()
