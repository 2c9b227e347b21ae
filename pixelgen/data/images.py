"""Loading a split of a data set as one uint8 tensor, which is cached on disk.

Folders of parquet files, folders of pictures and Hub data sets are all read through `datasets`.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelgen.checkpoints.instantiate import memory_size
from pixelgen.data.picture_endings import all_picture_endings, files_with_pictures
from pixelgen.data.row_reader import RowReader
from pixelgen.errors import InputError, PixelgenError, UsageError, counted, install_hint
from pixelgen.files import MAX_PIXELS, content_key, expanded, open_file, write_atomically
from pixelgen.imaging.formats import known_formats, picture_endings
from pixelgen.imaging.padding import pad_square
from pixelgen.imaging.read import DataFit, square
from pixelgen.labels import ClassCatalogue, imagenet_catalogue, imagenet_indices

if TYPE_CHECKING:
    from datasets import Dataset

Progress = Callable[[int, int], None]
IMAGE_COLUMN = "image"
"""The column of pictures, unless another one is named."""

_READER_VERSION = 2  # of splits in the cache; another one if the same files give other pixels
_CHUNK_PIXELS = 2**23  # of the pictures that are decoded at a time
_CHUNK_VALUES = 2**26  # that are averaged at a time
_MOST_ROWS = 500
_NAMED = 20
"""Unreadable pictures that a note names."""
_LONGEST_HEADER = 2**16
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class ImageData:
    """Pictures of one size in memory."""

    images: Tensor
    """uint8 [N, 3, H, W]."""
    labels: Tensor | None = None
    """int64 [N], with the numbers of the data set, or None if it has no labels."""
    label_names: tuple[str, ...] = ()
    """Names of the labels that the data set declares, by number; none where they are those of
    ILSVRC."""
    ilsvrc: bool = False
    """Whether labels are ILSVRC class indices, because their declared names are those of ILSVRC."""

    def __len__(self) -> int:
        return len(self.images)

    def occurring_labels(self) -> list[int]:
        """The labels that occur, in increasing order: entry r is row r of a class condition."""
        return [] if self.labels is None else torch.unique(self.labels).tolist()

    def class_names(self) -> list[str]:
        """The names of the `occurring_labels`: those that the data set declares, or their numbers.
        Empty where labels are ILSVRC class indices."""
        if self.ilsvrc:
            return []
        names = dict(enumerate(self.label_names))
        return [names.get(label, str(label)) for label in self.occurring_labels()]

    def of_one_class(self, name: str) -> ImageData:
        """The same pictures, all with the label 0, which is called `name`."""
        labels = torch.zeros(len(self), dtype=torch.int64)
        return replace(self, labels=labels, label_names=(name,), ilsvrc=False)

    def relabelled(self, classes: ClassCatalogue) -> ImageData:
        """The same with the numbers that `classes` give to the names of the labels; without names
        the numbers stay. Raises PixelgenError for a name that is none of theirs."""
        labels, names = self.occurring_labels(), self.class_names()
        if self.labels is None or not self.label_names:
            return self
        found = {label: classes.find(name) for label, name in zip(labels, names, strict=True)}
        numbers = {label: number for label, number in found.items() if number is not None}
        if len(numbers) < len(labels):
            unknown = next(names[i] for i, label in enumerate(labels) if label not in numbers)
            raise PixelgenError(
                f"class {unknown!r} of the data is not a class of the model",
                "use data with the classes that the model was trained on",
            )
        mapped = torch.tensor([numbers[label] for label in labels])
        rows = torch.searchsorted(torch.tensor(labels), self.labels)
        return replace(self, labels=mapped[rows], label_names=())

    def rows(self, labels: Iterable[int]) -> Tensor:
        """int64 [N]: the index of each picture's label in `labels`, those of a model.

        Raises PixelgenError for a label that is not among them.
        """
        if self.labels is None:
            raise PixelgenError(
                "the data has no labels", "a class-conditional model needs a label column"
            )
        known, index = torch.tensor(list(labels), dtype=torch.int64).sort()
        row = torch.searchsorted(known, self.labels).clamp(max=max(len(known) - 1, 0))
        foreign = self.labels[known[row] != self.labels] if len(known) else self.labels
        if len(foreign):
            raise PixelgenError(
                f"label {int(foreign[0])} of the data is not among the model's {len(known)}",
                "use data with the classes that the model was trained on",
            )
        return index[row]

    def digest(self, labels: bool = False) -> str:
        """A hash of the pictures, and with `labels` of their labels too, in hexadecimal."""
        digest = hashlib.blake2b(str(tuple(self.images.shape)).encode(), digest_size=16)
        for tensor in (self.images, self.labels if labels else None):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()

    def subset(self, index: Tensor) -> ImageData:
        """The pictures at `index` (int64 [M])."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, images=self.images[index], labels=labels)


def average_down(images: Tensor, factor: int) -> Tensor:
    """Means of factor×factor squares, rounded half up: uint8 [..., H, W] → [..., H/f, W/f]."""
    if factor == 1:
        return images
    *rest, height, width = images.shape
    if images.numel() > _CHUNK_VALUES and height > factor:  # sums take four times the memory
        half = height // factor // 2 * factor
        parts = images.split([half, height - half], -2)
        return torch.cat([average_down(part, factor) for part in parts], -2)
    squares = images.view(*rest, height // factor, factor, width // factor, factor)
    area = factor * factor
    return ((2 * squares.sum((-3, -1), dtype=torch.int32) + area) // (2 * area)).to(torch.uint8)


def load_images(
    ref: str | Path,
    split: str,
    *,
    size: int | None = None,
    fit: DataFit | None = None,
    limit: int | None = None,
    image_column: str = IMAGE_COLUMN,
    label_column: str = "label",
    skip_unreadable: bool = False,
    note: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
    dataset: Dataset | None = None,
) -> ImageData:
    """Load the pictures of a split of `ref`: a local folder of pictures, parquet files, or what
    `datasets` saved; a CSV, JSONL or parquet file; or a Hub data set `owner/name`.

    With `size`, pictures are averaged down to size×size by a whole factor; with `fit` as well,
    pictures of any sizes are made square first. With `skip_unreadable`, pictures that cannot be
    read are left out, and named to `note`. With `limit`, that many rows are taken, spread evenly
    over the split. Labels come from `label_column`; a folder whose
    pictures all lie in one class folder has one label; without either there are no labels. Decoded
    splits are cached in the user's cache folder, by the content of their files: see `content_key`.
    `progress(done, total)` is called while decoding, `note` where pictures may not look as they
    were meant, and where another split than "train" is asked for of data without splits. Pictures
    are read as by `read_image`. `dataset` is the split itself, from `open_dataset`, if it is open
    already.

    Raises PixelgenError for a data set, split or column that does not exist, and for pictures that
    are unreadable, of different sizes, or not a whole multiple of `size`.
    """
    dataset = open_dataset(ref, split) if dataset is None else dataset
    name = f"{ref} ({split})"
    if image_column not in dataset.column_names:
        raise PixelgenError(
            f"{name} has no column {image_column!r}", f"it has: {', '.join(dataset.column_names)}"
        )
    total = len(dataset)
    if total == 0:
        raise PixelgenError(f"{name} has no rows")
    if split != "train" and _has_no_splits(ref):
        note(f"{ref} has no splits: its {counted(total, 'row')} are taken as {split!r}")
    labels = read_labels(dataset, ref, image_column, label_column)  # texts are numbered among all
    if limit is not None and limit < total:
        chosen = [i * total // limit for i in range(limit)]
        dataset = dataset.select(chosen)
        labels = labels and replace(labels, values=labels.values[chosen])
    rows = _Rows(dataset, ref, image_column)
    reader = _Reader(name, RowReader(ref), size, fit, skip_unreadable)
    key = f"{dataset._fingerprint}-{image_column}{rows.listed_content()}"
    pixels, kept = _pixels(rows, key, reader, progress)
    if len(kept) < len(rows):
        lost = sorted({*range(len(rows))} - {*kept.tolist()})
        names = [rows.name(i) for i in lost[:_NAMED]]
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        reason = reader.why_unreadable(rows.part(lost[0], lost[0] + 1)[0])
        note(
            f"{len(lost)} of {len(rows)} pictures cannot be read and are left out: "
            f"{', '.join(names)}{more}; the first: {reason}"
        )
    if remarks := reader.rows.remarks:
        others = f" ({len(remarks)} such rows)" if len(remarks) > 1 else ""
        note(remarks[0] + others)
    if not len(kept):
        why = reader.rows.error or PixelgenError("")
        message = f"none of the pictures of {name} can be read: {why.message}"
        raise PixelgenError(message, why.hint, code=why.code)
    if labels is None:
        return ImageData(pixels)
    return ImageData(pixels, labels.values[kept], labels.names, labels.ilsvrc)


@dataclass(frozen=True)
class ClassLabels:
    """The label of every row."""

    values: Tensor
    """int64 [N]."""
    names: tuple[str, ...] = ()
    """Their names by number, if the data set declares any; none where they are those of ILSVRC."""
    ilsvrc: bool = False
    """Whether they are ILSVRC class indices."""

    def name(self, number: int) -> str:
        """The name of a label."""
        if self.ilsvrc:
            return imagenet_catalogue().name(number)
        return self.names[number] if 0 <= number < len(self.names) else str(number)


def read_labels(
    dataset: Dataset, ref: str | Path, image_column: str, label_column: str
) -> ClassLabels | None:
    """The labels in `label_column`, of the class folder that holds all pictures of a folder, or
    None. Raises PixelgenError for a column that is neither of numbers nor of texts."""
    feature = dataset.features.get(label_column)
    declared = tuple(getattr(feature, "names", ()))
    # `datasets` also takes the folders of splits for those of classes.
    if feature is None or (declared and _not_classes().issuperset(declared)):
        folder = _only_class_folder(dataset, ref, image_column) if label_column == "label" else None
        if folder is None:
            return None
        return ClassLabels(torch.zeros(len(dataset), dtype=torch.int64), (folder,))
    column = dataset.select_columns([label_column])[:][label_column]
    labels, names = _numbered(column, declared, label_column, str(ref))
    indices = imagenet_indices(names)
    if indices is None:
        return ClassLabels(labels, names)
    known = (labels >= 0) & (labels < len(indices))
    mapped = torch.where(known, torch.tensor(indices)[labels * known], labels)
    return ClassLabels(mapped, (), True)


def _numbered(
    values: Sequence[Any], names: tuple[str, ...], column: str, where: str
) -> tuple[Tensor, tuple[str, ...]]:
    """Labels int64 [N] and their names, of a column of numbers with declared `names`, if any, or of
    texts, which are names themselves, numbered in alphabetical order."""
    if values and all(isinstance(value, str) for value in values):
        names = tuple(sorted(set(values)))
        number = {name: i for i, name in enumerate(names)}
        values = [number[value] for value in values]
    if not all(type(value) is int for value in values):
        raise PixelgenError(
            f"column {column!r} of {where} does not hold a number or text for each picture"
        )
    nameless = {number for number, name in enumerate(names) if not name.strip()}
    row = next((row for row, value in enumerate(values) if value in nameless), None)
    if row is not None:
        raise PixelgenError(
            f"column {column!r} of {where} holds an empty text for row {row}",
            "give each picture the name of a class",
        )
    return torch.tensor(values, dtype=torch.int64), names


def open_dataset(ref: str | Path, split: str) -> Dataset:
    """The split as `datasets` reads it. Raises PixelgenError, in one line, for its failures."""
    try:
        import datasets
    except ImportError:
        raise PixelgenError(
            "reading data sets requires the package `datasets`", install_hint("train")
        ) from None
    text = str(ref)
    if not text:  # a path of no characters would be the current folder
        raise UsageError("no data set is named", "give a folder, or a Hub id owner/name")
    path = expanded(text)
    local = os.path.lexists(path) or text.startswith((".", "/", "~")) or text.count("/") != 1
    if local and not os.path.lexists(path):
        raise UsageError(
            f"no folder or file {text}", "give a folder of pictures, or a Hub id owner/name"
        )
    if local and not path.is_dir() and path.suffix.lower() not in LISTS:
        archive = path.name.lower().endswith(_ARCHIVES)
        raise UsageError(
            f"{text} is neither a folder of pictures nor a file that lists them",
            "unpack the archive, and give its folder"
            if archive
            else f"give a folder, or a file of {', '.join(LISTS)}",
        )
    datasets.disable_progress_bars()
    try:
        with _silent_library(), all_picture_endings():
            if not local:
                return datasets.load_dataset(text, split=split)
            if path.is_file():
                return _listed_in_file(path)
            if any((path / name).is_file() for name in SAVED_BY_DATASETS):
                saved = datasets.load_from_disk(str(path))
                if isinstance(saved, datasets.Dataset):
                    return saved
                if split not in saved:
                    raise ValueError(f"it has: {', '.join(saved)}")
                return saved[split]
            return _in_folder(str(path.resolve()), split)
    except FileNotFoundError as error:
        if not local:
            raise _unreadable(text, error, local) from error
        raise PixelgenError(f"there are no pictures in {text}") from error
    except ValueError as error:
        if path.is_file() and "no data" in str(error):
            raise PixelgenError(f"{text} has no rows") from error
        raise PixelgenError(f"cannot read split {split!r} of {text}: {_reason(error)}") from error
    except Exception as error:  # `datasets` lets through whatever its readers and the network raise
        raise _unreadable(text, error, local) from error


def _unreadable(text: str, error: Exception, local: bool) -> PixelgenError:
    hint = "" if local else "is the id right, and the network reachable?"
    return PixelgenError(f"cannot read the data set {text}: {_reason(error)}", hint)


SAVED_BY_DATASETS = ("dataset_dict.json", "state.json")
"""Files of a folder that `save_to_disk` of `datasets` wrote: of several splits, and of one data
set."""
LISTS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
"""Endings of files that hold or list pictures, and how `datasets` calls their format."""


def _has_no_splits(ref: str | Path) -> bool:
    """Whether all rows of `ref` are those of any split: of a file of `LISTS`, or of one data set
    that `save_to_disk` wrote."""
    path = expanded(ref)
    return path.is_file() or (path / SAVED_BY_DATASETS[1]).is_file()


def _in_folder(folder: str, split: str) -> Dataset:
    """The split of a folder: of its pictures, or of the files that hold some, if there are any,
    whatever files lie beside them."""
    import datasets

    with ExitStack() as stack:
        stack.enter_context(files_with_pictures())
        try:
            files = datasets.load_dataset_builder(folder).config.data_files
        except (FileNotFoundError, ValueError):  # there are none in each split: it may hold lists
            stack.close()
            files = datasets.load_dataset_builder(folder).config.data_files
        # The description is a part of the names of the library's caches, and of the fingerprint.
        return datasets.load_dataset(folder, split=split, description=_content_key(files))


def _listed_in_file(path: Path) -> Dataset:
    """The rows of a file of `LISTS`, of one split whatever it is called."""
    import datasets

    kind = LISTS[path.suffix.lower()]
    separator = _separator(path) if kind == "csv" else ","
    more = {} if separator == "," else {"sep": separator}
    file = str(path.resolve())
    key = _content_key({"train": [file]})
    pattern = glob.escape(file)
    return datasets.load_dataset(kind, data_files=pattern, split="train", description=key, **more)


def _separator(path: Path) -> str:
    """What separates the columns of a file of `LISTS`: of tab, semicolon and comma, the most
    frequent in its first line. Spreadsheets of many countries write semicolons."""
    with open_file(path) as file:
        first = file.readline(_LONGEST_HEADER).decode(errors="replace")
    return max(("\t" if path.suffix.lower() == ".tsv" else ",", ";", "\t"), key=first.count)


def _content_key(data_files: Mapping[Any, Iterable[str]] | None) -> str:
    """A digest of the files of all splits: the library notices only changes of their times. Raises
    ValueError for JSON that holds no rows."""
    files = [file for split in (data_files or {}).values() for file in split]
    for file in files:
        if file.endswith((".json", ".jsonl")):
            _check_json(file)
    return _digest(files)


def _digest(files: Iterable[str]) -> str:
    """A digest of the content of files. One that cannot be read counts as such: whoever needs it
    says why."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(content_key(file).encode())
        except (OSError, ValueError):  # ValueError: a name with a NUL
            digest.update(b"unreadable")
    return digest.hexdigest()[:32]


def _check_json(path: str) -> None:
    """Raises ValueError for a file that begins with neither an object nor a list: the library's
    reader crashes on some of them."""
    with open_file(path) as file:
        start = b""
        while not start and (block := file.read(2**16)):
            start = block.removeprefix(b"\xef\xbb\xbf").strip()
    if start and start[:1] not in (b"{", b"["):
        raise ValueError("it does not begin with an object of JSON")


@contextmanager
def _silent_library() -> Iterator[None]:
    """`datasets` without lines of its own on stderr: our error repeats what it logs."""
    logger = logging.getLogger("datasets")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "DatasetGenerationError" and error.__cause__ is not None:
        return _reason(error.__cause__)  # it says no more than that there is one
    if isinstance(error, UnicodeEncodeError):
        return f"the name {error.object!r} in it is not UTF-8"
    lines = str(error).strip().splitlines()
    if isinstance(error, StopIteration) or (lines and "corresponds to no data" in lines[0]):
        return "it has no rows"
    return lines[0] if lines else type(error).__name__


def picture_folders(dataset: Dataset, ref: str | Path, column: str) -> list[Path]:
    """The folders in which the pictures of a folder `ref` lie, within it and in alphabetical order;
    none for data sets of other kinds."""
    from datasets import Image as ImageFeature

    if not isinstance(dataset.features[column], ImageFeature):
        return []
    rows: Any = dataset.select_columns([column]).cast_column(column, ImageFeature(decode=False))
    root = expanded(ref).resolve()
    folders: set[Path] = set()
    for row in rows:
        path = row[column]["path"]
        if row[column]["bytes"] or not path or not Path(path).is_relative_to(root):
            return []
        folders.add(Path(path).parent.relative_to(root))
    return sorted(folders)


def pictures_in_no_split(dataset: Dataset, ref: str | Path, column: str) -> Counter[Path]:
    """How many pictures of a folder `ref` are in no split, by the folder in it that holds them,
    where the split `dataset` is a folder of it; none for data sets of other kinds."""
    first = picture_folders(dataset.select(range(min(len(dataset), 1))), ref, column)
    splits = _split_folders()
    found: Counter[Path] = Counter()
    if not first or splits.isdisjoint(first[0].parts):
        return found
    root, endings = expanded(ref).resolve(), tuple(picture_endings())
    for parent, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in splits and not f.startswith((".", "__"))]
        shown = [f for f in files if f.lower().endswith(endings) and not f.startswith(".")]
        if shown:
            found[Path(parent).relative_to(root)] = len(shown)
    return found


def _only_class_folder(dataset: Dataset, ref: str | Path, column: str) -> str | None:
    """The name of the class folder that holds all pictures of a folder of pictures.

    `datasets` makes labels of class folders only if there are several. None if the pictures lie in
    several folders or in none but that of their split, and for data sets of other kinds.
    """
    folders = picture_folders(dataset, ref, column)
    if len(folders) != 1:
        return None
    (folder,) = folders
    return None if folder.name in _not_classes() else folder.name


def _not_classes() -> set[str]:
    """Names of folders that are not those of classes."""
    return _split_folders() | {"data", ""}


def _split_folders() -> set[str]:
    """Names of folders that are splits."""
    from datasets.data_files import SPLIT_KEYWORDS

    return {word for words in SPLIT_KEYWORDS.values() for word in words}


class _Rows:
    """The pictures {"bytes", "path"} of all rows, in order, not decoded. A column of texts holds
    paths, relative to the file or folder `ref`."""

    def __init__(self, dataset: Dataset, ref: str | Path, column: str) -> None:
        from datasets import Image as ImageFeature

        self._column = column
        self._rows: Any = dataset.select_columns([column])
        path = expanded(ref).resolve()
        self._folder = path.parent if path.is_file() else path
        self._of_paths = holds_texts(dataset, column)
        if not self._of_paths:
            try:
                self._rows = self._rows.cast_column(column, ImageFeature(decode=False))
            except Exception as error:  # `datasets` and Arrow raise many kinds
                raise PixelgenError(f"column {column!r} of {ref} does not hold pictures") from error

    def __len__(self) -> int:
        return len(self._rows)

    def part(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Rows `start` … `stop` - 1."""
        values: list[Any] = self._rows[start:stop][self._column]
        if not self._of_paths:
            return values
        paths = (str(self._folder / name) if name else None for name in values)
        return [{"bytes": None, "path": path} for path in paths]

    def listed_content(self) -> str:
        """A digest of the files that a column of paths names; empty for other rows, whose content
        is a part of the data set's own fingerprint."""
        if not self._of_paths:
            return ""
        return f"-{_digest(row['path'] or '' for row in self.part(0, len(self)))}"

    def name(self, number: int) -> str:
        """The path of a row in the data set, or else its number."""
        path = Path(self.part(number, number + 1)[0]["path"] or "")
        if not path.name:
            return f"row {number}"
        inside = path.is_relative_to(self._folder)
        return (path.relative_to(self._folder) if inside else path).as_posix()


def holds_texts(dataset: Dataset, column: str) -> bool:
    """Whether the column holds texts, such as paths."""
    return getattr(dataset.features[column], "dtype", "") in ("string", "large_string")


def _pixels(
    rows: _Rows, key: str, reader: _Reader, progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """uint8 [N, 3, H, W] of the rows that can be read, from the cache if they were decoded before
    without remarks, which would be lost, and their numbers int64 [N]."""
    path = cache_folder() / f"{key}-{reader.key}-v{_READER_VERSION}.npy"
    kept_path = path.with_suffix(".rows.npy")
    pixels = load_cached_array(path)
    kept = load_cached_array(kept_path) if reader.skips else torch.arange(len(rows))
    if pixels is None or kept is None or len(kept) != len(pixels):
        pixels, kept = _decode_all(rows, reader, progress)
        if len(kept) and not reader.rows.remarks:
            if reader.skips:
                cache_array(kept_path, kept)
            cache_array(path, pixels)
    return pixels, kept


def load_cached_array(path: Path) -> Tensor | None:
    """What `cache_array` wrote to `path`; None if there is no file, or an unreadable one."""
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None


def cache_array(path: Path, values: Tensor) -> None:
    """Write `values` to `path` for `load_cached_array`. A failure is ignored: the values are then
    computed again the next time."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, values.numpy())

    with suppress(OSError, PixelgenError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)


def cache_folder() -> Path:
    """The folder of decoded splits: `$XDG_CACHE_HOME/pixelgen`, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixelgen"


@dataclass(frozen=True)
class _Reader:
    """How the pictures of a data set are decoded."""

    name: str
    """Of the data set, for messages."""
    rows: RowReader
    size: int | None
    fit: DataFit | None
    skips: bool
    """Whether unreadable pictures are left out."""

    @property
    def key(self) -> str:
        """What tells results from those of other readers."""
        formats = hashlib.sha256("-".join(known_formats()).encode()).hexdigest()[:8]
        skipping = f"-readable-{formats}" if self.skips else ""
        most = self.rows.max_pixels
        limit = "" if most == MAX_PIXELS else f"-max{most}"
        return f"{self.size or 'full'}{f'-{self.fit}' if self.fit else ''}{skipping}{limit}"

    def why_unreadable(self, row: dict[str, Any]) -> str:
        """Why a row cannot be read, and what to do: also one of an earlier process, from the
        cache."""
        try:
            self.rows.decode(row)
        except InputError as error:
            return error.message + (f" ({error.hint})" if error.hint else "")
        return "it has changed since"

    def read(self, row: dict[str, Any], number: int) -> np.ndarray | None:
        """uint8 [H, W, 3] of a row; None if it is unreadable and left out."""
        try:
            image = self.rows.read(row, f"row {number} of {self.name}")
        except PixelgenError:
            if self.skips:
                return None
            raise
        if self.fit is None or self.size is None:
            return image
        picture = Image.fromarray(image)
        if self.fit == "pad":
            return np.asarray(pad_square(picture, self.size))
        return np.asarray(square(picture, self.size, self.fit))


def _decode_all(rows: _Rows, reader: _Reader, progress: Progress | None) -> tuple[Tensor, Tensor]:
    """All readable pictures, averaged down, uint8 [N, 3, H, W], and their row numbers."""
    out: Tensor | None = None
    kept: list[int] = []
    first: tuple[int, ...] | None = None
    factor = chunk = 1
    start = 0
    while start < len(rows):
        decoded = []
        for number, row in enumerate(rows.part(start, start + chunk), start):
            image = reader.read(row, number)
            if image is None:
                continue
            if first is None:
                first = image.shape
                factor = _shrink_factor(reader.name, first[0], first[1], reader.size)
                _check_memory(reader.name, len(rows), first[0] // factor, first[1] // factor)
            if image.shape != first:
                raise PixelgenError(
                    f"row {number} of {reader.name} is {image.shape[1]}×{image.shape[0]}, "
                    f"the first row is {first[1]}×{first[0]}",
                    "all pictures of a data set must have one size, or set fit",
                )
            kept.append(number)
            decoded.append(image)
        if decoded:
            batch = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
            batch = average_down(batch, factor)
            if out is None:
                out = torch.empty((len(rows), *batch.shape[1:]), dtype=torch.uint8)
            out[len(kept) - len(batch) : len(kept)] = batch
        start = min(start + chunk, len(rows))
        if first is not None:  # now their size is known
            chunk = min(max(_CHUNK_PIXELS // (first[0] * first[1]), 1), _MOST_ROWS)
        if progress is not None:
            progress(start, len(rows))
    pixels = torch.empty((0, 3, 0, 0), dtype=torch.uint8) if out is None else out[: len(kept)]
    return pixels, torch.tensor(kept, dtype=torch.int64)


def _check_memory(name: str, count: int, height: int, width: int) -> None:
    """Raises PixelgenError for more pictures of height×width than half of the memory holds."""
    needed, memory = 3 * count * height * width, memory_size()
    if memory is not None and needed > memory // 2:
        raise PixelgenError(
            f"{name}: {count} pictures of {width}×{height} pixels need {needed / 1e9:.1f} GB of "
            f"memory, this computer has {memory / 1e9:.1f} GB",
            "set a smaller size",
        )


def _shrink_factor(name: str, height: int, width: int, size: int | None) -> int:
    """By how much pictures are averaged down to `size`. Raises PixelgenError if that is not a whole
    number."""
    if size is None or height == width == size:
        return 1
    if height != width or height % size:
        raise PixelgenError(
            f"the {width}×{height} pictures of {name} cannot be averaged down to {size}×{size}",
            "the pictures must be square, their side a multiple of the size",
        )
    return height // size
