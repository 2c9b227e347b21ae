"""A job is done again when what it read has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pixelgen.jobs import inputs
from pixelgen.jobs.inputs import INPUTS, InputKeys
from pixelgen.jobs.json_options import options_of
from pixelgen.jobs.registry import JOBS, job_type


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"first")
    return path


def replaced(path: Path, data: bytes) -> None:
    """Other content of the same length, with the old time, in the same file, as by `cp -p`."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "nothing": (lambda path: None, True),
    "content": (lambda path: replaced(path, b"other"), False),
    "size": (lambda path: path.write_bytes(b"longer than that"), False),
    "time": (lambda path: os.utime(path, (1, 1)), True),
    "inode": (lambda path: shutil.move(shutil.copy(path, f"{path}.new"), path), True),
    "gone": (lambda path: path.unlink(), True),
    "a pipe": (lambda path: (path.unlink(), path.mkdir()), False),
}


@pytest.mark.parametrize("field", INPUTS)
@pytest.mark.parametrize(("change", "same"), CHANGES.values(), ids=CHANGES)
def test_changes_of_a_file(
    field: str, change: Callable[[Path], object], same: bool, photo: Path
) -> None:
    keys = InputKeys()
    values = {field: [str(photo)] if field.endswith("s") else str(photo)}
    before = keys.of(values)
    change(photo)
    for later in (keys, InputKeys()):
        assert later.unchanged(values, before) == same
    assert InputKeys().unchanged(values, None)


def test_a_folder(photo: Path) -> None:
    keys, values = InputKeys(), {"images": [str(photo.parent)]}
    before = keys.of(values)
    (photo.parent / "notes.txt").touch()
    assert keys.unchanged(values, before)
    shutil.copy(photo, photo.with_name("b.png"))
    assert not keys.unchanged(values, before)
    for file in photo.parent.iterdir():
        file.unlink()
    assert not keys.unchanged(values, before)


def test_weights(weights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights, tmp_path / "mine")
    keys, values = InputKeys(), {"weights": str(folder)}
    before = keys.of(values)
    assert keys.unchanged(values, before)
    tensors = folder / "model.safetensors"
    replaced(tensors, tensors.read_bytes()[:-1] + b"?")
    assert not keys.unchanged(values, before)
    shutil.rmtree(folder)
    assert keys.unchanged(values, before)
    for named in ("imagenet32", "owner/name"):  # what they are is not read
        assert keys.of({"weights": named}) == keys.of({})


def test_a_file_is_read_once_and_a_large_one_in_part(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    content = inputs._content
    monkeypatch.setattr(inputs, "_content", lambda path: read.append(path) or content(path))
    monkeypatch.setattr(inputs, "_LONGEST_END", 2)
    keys, values = InputKeys(), {"image": str(photo)}
    before = keys.of(values)
    assert keys.of(values) == before
    assert keys.unchanged(values, before)
    assert read == [photo]
    replaced(photo, b"fiRst")  # the middle
    assert keys.of(values)["content"] == before["content"]
    replaced(photo, b"fiRsT")
    assert keys.of(values)["content"] != before["content"]


def test_every_field_that_names_a_file_to_read_is_known() -> None:
    others = {"fit", "resample", "keep", "box", "device", "label", "classes", "guidance_schedule"}
    others |= {"watch"}  # of no job in a batch
    for command in JOBS:
        texts = {
            option.name
            for option in options_of(job_type(command)).values()
            if option.kind is str and option.endings is None
        }
        assert texts <= {*INPUTS, "weights", *others}, command
