"""Writing files whole, and opening what may be no file."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from pixelgen import files
from pixelgen.errors import PixelgenError
from pixelgen.files import (
    content_key,
    expanded,
    open_file,
    open_input,
    path_below,
    public_path,
    read_file,
    write_atomically,
    write_file,
)

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


def test_a_file_is_a_file_for_both(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    for opened in (open_file, open_input):
        with opened(path) as file:
            assert file.read() == b"content"
        with pytest.raises(IsADirectoryError, match="it is a folder"):
            opened(tmp_path)
        with pytest.raises(FileNotFoundError):
            opened(tmp_path / "nothing")


@needs_pipes
def test_a_pipe_that_nobody_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "_PIPE_TIMEOUT", 0.01)
    with pytest.raises(OSError, match="no process writes to this pipe"):
        open_input(pipe)
    with pytest.raises(OSError, match="it is not a file"):
        open_file(pipe)
    with pytest.raises(OSError, match="it is not a file"):
        open_file("/dev/zero")


@needs_pipes
def test_a_pipe_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "_PIPE_TIMEOUT", 0.2)
    there = threading.Event()

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:  # once somebody reads
            there.wait()
            time.sleep(0.4)
            file.write(b"late")

    writer = threading.Thread(target=write)
    writer.start()
    there.set()
    with open_input(pipe) as file:
        assert file.read() == b"late"
    writer.join()


def test_no_more_is_read_than_may_be(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(2**20))
    assert len(read_file(path, 2**20)) == 2**20
    with pytest.raises(OSError, match=r"more than 0\.5 MiB"):
        read_file(path, 2**19)


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_is_taken_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    path = tmp_path / "a"
    write_atomically(path, b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, b"second", replace=False)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"first")]


def test_a_name_is_not_taken_by_what_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    monkeypatch.setattr(Path, "replace", _no_links)
    with pytest.raises(PixelgenError, match="cannot write"):
        write_atomically(tmp_path / "a", b"first", replace=False)
    assert list(tmp_path.iterdir()) == []


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "not here")


def test_names_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    write_atomically(path, b"a")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    path.unlink()
    long = [write_file(tmp_path / ("ä" * 125 + ".png"), b"a", "number").name for _ in range(2)]
    assert long == ["ä" * 125 + ".png", "ä" * 115 + "-2.png"]


def test_temporary_files_of_killed_processes_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda path, **_: None)
        patched.setattr(Path, "replace", lambda path, _: names.append(path.name))
        write_atomically(tmp_path / "a.png", b"killed")
    (left,) = names
    assert files.is_temporary(left)
    for name in ("b.png", "old.pixelgen-part", ".mine.png"):
        (tmp_path / name).touch()
    hours_ago = time.time() - 7200
    young = tmp_path / f".b.png.{left[-22:]}"
    young.touch()
    for path in {*tmp_path.iterdir()} - {young}:
        os.utime(path, (hours_ago, hours_ago))
    files._sweep_once.cache_clear()
    write_atomically(tmp_path / "c.png", b"content")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("b.png", "old.pixelgen-part", ".mine.png", "c.png"),
        young.name,
    }


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links")
def test_a_link_to_nothing_is_something(tmp_path: Path) -> None:
    link = tmp_path / "a.png"
    link.symlink_to("nothing")
    assert write_file(link, b"a", "number").name == "a-2.png"
    assert link.is_symlink()


def test_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
    assert expanded("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


@pytest.mark.parametrize("size", [1000, 2**20])
def test_keys_tell_files_apart_that_are_of_one_size_and_time(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    keys = set()
    for content in (b"a" * size, b"b" + b"a" * (size - 1), b"a" * (size - 1) + b"b"):
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
        keys.add(content_key(path))
        assert content_key(path) in keys
    assert len(keys) == 3
    with pytest.raises(FileNotFoundError):
        content_key(tmp_path / "b")


PLACES = {
    "cats/a.png": ("cats/a.png", "cats/a.png"),
    "./cats": ("./cats", "./cats"),
    "owner/name": ("owner/name", "owner/name"),
    "": ("", ""),
    "HERE/cats/a.png": ("cats/a.png", "cats/a.png"),
    "HERE": (".", "here"),
    ".": (".", "here"),
    "~/here/cats": ("cats", "cats"),
    "cats/../dogs/a.png": ("dogs/a.png", "dogs/a.png"),
    "../cats/a.png": (None, "a.png"),
    "..": (None, "~"),
    "cats/../../dogs": (None, "dogs"),
    "~": (None, "~"),
    "~/cats/a.png": (None, "a.png"),
    "/data/cats/": (None, "cats"),
    "/": (None, "/"),
    r"C:\Users\alice\cats": (None, "cats"),
    "C:/Users/alice/cats": (None, "cats"),
}


@pytest.mark.skipif(os.name == "nt", reason="the paths are those of other systems")
@pytest.mark.parametrize("path", PLACES)
def test_paths_for_others_end_at_the_current_folder(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = path.replace("HERE", str(tmp_path / "here"))
    assert (path_below(path), public_path(path)) == PLACES[path.replace(str(Path.cwd()), "HERE")]
