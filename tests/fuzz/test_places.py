"""Places where files shall go, and cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .commands import HOSTILE, Sensible
from .sandbox import Sandbox

WRITERS = {
    "sample": "-o",
    "interpolate": "-o",
    "complete": "-o",
    "reconstruct": "-o",
    "portrait": "-o",
    "encode": "-o",
    "decode": "-o",
    "score": "--map",
    "batch": "-o",
}


def line(command: str, box: Sandbox, place: object) -> list[str]:
    """A command that writes to a place, and does nothing else out of the ordinary."""
    from .commands import leaves, parameters

    leaf = leaves()[(command,)]
    names = WRITERS[command]
    param = next(p for p in parameters(leaf) if names in p.opts)
    return Sensible(box.inputs).line((command,), leaf, param, str(place))


@pytest.mark.parametrize("command", WRITERS)
def test_odd_places(command: str, box: Sandbox) -> None:
    number = list(WRITERS).index(command)
    for place in HOSTILE[number % 5 :: 5]:
        box.attempt(*line(command, box, place))
    for place in ("../in/pipe.png", "../in/loop.png", "../in/dangling.png"):
        box.attempt(*line(command, box, place), codes=(0, 1, 2) if command == "batch" else (1, 2))


@pytest.mark.parametrize("command", ["sample", "complete"])
def test_odd_places_of_what_grows(command: str, box: Sandbox) -> None:
    for option in ("--watch", "--animate"):
        for place in (*HOSTILE[::9], "../in/pipe.png", "../in/loop.png", "../in/folder.png"):
            box.attempt(*line(command, box, "out.png"), f"{option}={place}")


@pytest.fixture
def tiny_disk(box: Sandbox) -> Iterator[Path]:
    """A folder with room for 4 kB."""
    place = box.root / "disk"
    place.mkdir()
    done = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=20", "none", place],
            capture_output=True,
        )
        if shutil.which("mount")
        else None
    )
    if done is None or done.returncode:
        place.rmdir()
        pytest.skip("nothing can be mounted")
    yield place
    subprocess.run(["umount", place], check=True)
    place.rmdir()


@pytest.mark.parametrize("command", WRITERS)
def test_full_disk(command: str, box: Sandbox, tiny_disk: Path) -> None:
    (tiny_disk / "old").write_bytes(bytes(4096))
    name = {"encode": "x.safetensors", "batch": "out"}.get(command, "x.png")
    outcome = box.attempt(*line(command, box, tiny_disk / name), codes=(1, 2))
    assert "space" in outcome.message
    if command != "batch":
        assert [path.name for path in tiny_disk.iterdir()] == ["old"]


def test_full_disk_for_settings_and_what_grows(box: Sandbox, tiny_disk: Path) -> None:
    (tiny_disk / "old").write_bytes(bytes(4096))
    env = {"PIXELGEN_CONFIG": str(tiny_disk / "config.toml")}
    assert "space" in box.attempt("config", "set", "scale", "2", env=env, codes=(1,)).message
    for option in ("--watch", "--animate"):
        words = line("sample", box, "out.png")
        box.attempt(*words, option, tiny_disk / "x.png", codes=(1,), keep=True)
        box.tidy()
    assert [path.name for path in tiny_disk.iterdir()] == ["old"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
@pytest.mark.parametrize("command", WRITERS)
def test_nothing_is_permitted(command: str, box: Sandbox) -> None:
    name = {"encode": "x.safetensors", "batch": "out"}.get(command, "x.png")
    for mode in (0o500, 0o000):
        locked = box.here / "locked"
        locked.mkdir(mode=mode)
        box.attempt(*line(command, box, f"locked/{name}"), codes=(1, 2))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_nothing_may_be_read(box: Sandbox) -> None:
    locked = box.inputs / "broken" / "locked"
    shutil.copytree(box.inputs / "tiny", locked)
    photo = locked / "photo.png"
    shutil.copyfile(box.inputs / "photo.png", photo)
    for path in (photo, locked / "config.json", locked):
        path.chmod(0)
        box.attempt("score", photo, "--weights", box.inputs / "pixels", codes=(3,))
        box.attempt("sample", "--class", "8", "--weights", locked)
        path.chmod(0o700)
    shutil.rmtree(locked)
