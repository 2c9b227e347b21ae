"""Loading a split of a data set as one uint8 tensor, which is cached on disk.

Folders of parquet files, folders of pictures and Hub data sets are all read through `datasets`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pixelgen.data.row_reader import RowReader
from pixelgen.errors import PixelgenError
from pixelgen.files import expanded, write_atomically

if TYPE_CHECKING:
    from datasets import Dataset

Progress = Callable[[int, int], None]

_READER_VERSION = 2  # of splits in the cache; another one if the same files give other pixels
_CHUNK_PIXELS = 2**23  # of the pictures that are decoded at a time
_CHUNK_VALUES = 2**26  # that are averaged at a time
_MOST_ROWS = 500


@dataclass(frozen=True)
class ImageData:
    """Pictures of one size in memory."""

    images: Tensor
    """uint8 [N, 3, H, W]."""
    labels: Tensor | None = None
    """int64 [N], with the numbers of the data set, or None if it has no labels."""
    label_names: tuple[str, ...] = ()
    """Names of the labels that the data set declares, by number."""

    def __len__(self) -> int:
        return len(self.images)

    def occurring_labels(self) -> list[int]:
        """The labels that occur, in increasing order: entry r is row r of a class condition."""
        return [] if self.labels is None else torch.unique(self.labels).tolist()

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
    limit: int | None = None,
    image_column: str = "image",
    label_column: str = "label",
    note: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> ImageData:
    """Load the pictures of a split of `ref`: a local folder, or a Hub data set `owner/name`.

    With `size`, pictures are averaged down to size×size by a whole factor. With `limit`, that many
    rows are taken, spread evenly over the split. Labels come from `label_column`; a folder whose
    pictures all lie in one class folder has one label; without either there are no labels. Decoded
    splits are cached in the user's cache folder. `progress(done, total)` is called while decoding,
    `note` where pictures may not look as they were meant. Pictures are read as by `read_image`.

    Raises PixelgenError for a data set, split or column that does not exist, and for pictures that
    are unreadable, of different sizes, or not a whole multiple of `size`.
    """
    dataset = _open_dataset(ref, split)
    name = f"{ref} ({split})"
    if image_column not in dataset.column_names:
        raise PixelgenError(
            f"{name} has no column {image_column!r}", f"it has: {', '.join(dataset.column_names)}"
        )
    total = len(dataset)
    if total == 0:
        raise PixelgenError(f"{name} has no rows")
    if limit is not None and limit < total:
        dataset = dataset.select([i * total // limit for i in range(limit)])

    labels: Tensor | None = None
    names: tuple[str, ...] = ()
    if label_column in dataset.column_names:
        values = np.asarray(
            dataset.select_columns([label_column]).with_format("numpy")[:][label_column]
        )
        if values.dtype.kind not in "iu":
            raise PixelgenError(f"column {label_column!r} of {name} does not hold whole numbers")
        labels = torch.from_numpy(values.astype(np.int64))
        names = tuple(getattr(dataset.features[label_column], "names", ()))
    elif label_column == "label" and (folder := _only_class_folder(dataset, ref, image_column)):
        labels, names = torch.zeros(len(dataset), dtype=torch.int64), (folder,)
    reader = RowReader(ref)
    pixels = _pixels(dataset, name, image_column, size, reader, progress)
    if reader.remarks:
        others = f" ({len(reader.remarks)} such rows)" if len(reader.remarks) > 1 else ""
        note(reader.remarks[0] + others)
    return ImageData(pixels, labels, names)


def _open_dataset(ref: str | Path, split: str) -> Dataset:
    """The split as `datasets` reads it. Raises PixelgenError, in one line, for its failures."""
    try:
        import datasets
    except ImportError:
        raise PixelgenError(
            "reading data sets requires the package `datasets`", "pip install 'pixelgen[train]'"
        ) from None
    text = str(ref)
    path = expanded(text)
    local = os.path.lexists(path) or text.startswith((".", "/", "~")) or text.count("/") != 1
    if local and not os.path.isdir(path):
        raise PixelgenError(
            f"no data folder {text}", "give a folder of parquet files, or a Hub id owner/name"
        )
    datasets.disable_progress_bars()
    try:
        with _silent_library():
            return datasets.load_dataset(str(path.resolve()) if local else text, split=split)
    except ValueError as error:
        raise PixelgenError(f"cannot read split {split!r} of {text}: {_reason(error)}") from error
    except Exception as error:  # `datasets` lets through whatever its readers and the network raise
        hint = "" if local else "is the id right, and the network reachable?"
        raise PixelgenError(f"cannot read the data set {text}: {_reason(error)}", hint) from error


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


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _only_class_folder(dataset: Dataset, ref: str | Path, column: str) -> str | None:
    """The name of the class folder that holds all pictures of a folder of pictures.

    `datasets` makes labels of class folders only if there are several. None if the pictures lie in
    several folders or in none but that of their split, and for data sets of other kinds.
    """
    from datasets import Image as ImageFeature
    from datasets.data_files import SPLIT_KEYWORDS

    if not isinstance(dataset.features[column], ImageFeature):
        return None
    rows: Any = dataset.select_columns([column]).cast_column(column, ImageFeature(decode=False))
    root = expanded(ref).resolve()
    folders: set[Path] = set()
    for row in rows:
        path = row[column]["path"]
        if row[column]["bytes"] or not path or not Path(path).is_relative_to(root):
            return None
        folders.add(Path(path).parent)
        if len(folders) > 1:
            return None
    (folder,) = folders
    not_classes = {word for words in SPLIT_KEYWORDS.values() for word in words} | {"data"}
    return None if folder == root or folder.name in not_classes else folder.name


def _pixels(
    dataset: Dataset,
    name: str,
    column: str,
    size: int | None,
    reader: RowReader,
    progress: Progress | None,
) -> Tensor:
    """uint8 [N, 3, H, W] of every row, from the cache if it was decoded before without remarks,
    which would be lost."""
    name_of_cache = f"{dataset._fingerprint}-{column}-{size or 'full'}-v{_READER_VERSION}.npy"
    path = cache_folder() / name_of_cache
    pixels = load_cached_array(path)
    if pixels is None:
        pixels = _decode_all(dataset, name, column, size, reader, progress)
        if not reader.remarks:
            cache_array(path, pixels)
    return pixels


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


def _decode_all(
    dataset: Dataset,
    name: str,
    column: str,
    size: int | None,
    reader: RowReader,
    progress: Progress | None,
) -> Tensor:
    from datasets import Image as ImageFeature

    rows: Any = dataset.select_columns([column]).cast_column(column, ImageFeature(decode=False))
    first = reader.read(rows[0][column], f"row 0 of {name}").shape
    reader.remarks.clear()  # row 0 is read again
    height, width, _ = first
    factor = _shrink_factor(name, height, width, size)
    out = torch.empty((len(rows), 3, height // factor, width // factor), dtype=torch.uint8)
    chunk = min(max(_CHUNK_PIXELS // (height * width), 1), _MOST_ROWS)
    for start in range(0, len(rows), chunk):
        decoded = []
        for number, row in enumerate(rows[start : start + chunk][column], start):
            array = reader.read(row, f"row {number} of {name}")
            if array.shape != first:
                raise PixelgenError(
                    f"row {number} of {name} is {array.shape[1]}×{array.shape[0]}, "
                    f"the first row is {width}×{height}",
                    "all pictures of a data set must have one size",
                )
            decoded.append(array)
        batch = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
        out[start : start + len(batch)] = average_down(batch, factor)
        if progress is not None:
            progress(start + len(batch), len(rows))
    return out


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
