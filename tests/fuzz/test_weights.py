"""Folders of weights from untrusted sources."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .commands import HOSTILE
from .sandbox import Sandbox
from .tensors import broken_configs, broken_tensors

Commands = Callable[[Path], list[list[object]]]


def users(box: Sandbox) -> list[list[object]]:
    """Commands that use weights in different ways, without the folder."""
    photo = box.inputs / "photo.png"
    return [
        ["sample", "--seed", "1", "--class", "8", "--weights"],
        ["weights", "show"],
        ["score", photo, "--weights"],
        ["weights", "verify"],
        ["complete", photo, "--keep", "top:50%", "-n", "1", "--weights"],
        ["classes", "--weights"],
        ["encode", photo, "-o", "out.safetensors", "--weights"],
        ["interpolate", "--class", "8", "--class", "207", "--weights"],
        ["weights", "path"],
        ["reconstruct", photo, "--weights"],
        ["decode", box.inputs / "codes.safetensors", "-o", "out.png", "--weights"],
        ["portrait", photo, "--no-align", "-n", "1", "--weights"],
        ["sample", "--seed", "1", "--guidance", "2", "--class", "lion", "--weights"],
    ]


@pytest.fixture
def folder(box: Sandbox) -> Iterator[Path]:
    """A copy of whole weights, to be broken."""
    place = box.inputs / "broken" / "weights"
    shutil.copytree(box.inputs / "tiny", place)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize(
    "file", ["tiny/model", "whole/model", "coded/tokenizer", "faces/embedder", "auto/autoencoder-5"]
)
def test_tensors(file: str, box: Sandbox, folder: Path) -> None:
    kind, name = file.split("/")
    shutil.rmtree(folder)
    shutil.copytree(box.inputs / kind, folder)
    place = folder / f"{name}.safetensors"
    whole = place.read_bytes()
    photo = box.inputs / "photo.png"
    commands: dict[str, list[object]] = {
        "tiny": ["sample", "--seed", "1", "--class", "8", "--weights"],
        "whole": ["sample", "--seed", "1", "-n", "1", "--weights"],
        "coded": ["decode", box.inputs / "codes.safetensors", "-o", "out.png", "--weights"],
        "faces": ["portrait", photo, "--no-align", "-n", "1", "--weights"],
        "auto": ["reconstruct", photo, "-n", "1", "--weights"],
    }
    first = commands[kind]
    others = itertools.cycle(users(box))
    step = 1 if kind == "tiny" else 7
    for number, (_, content) in enumerate(itertools.islice(broken_tensors(whole), 0, None, step)):
        place.write_bytes(content)
        words = next(others) if kind == "tiny" and number % 2 else first
        box.attempt(*words, folder)


def test_values_that_are_no_numbers_are_refused(box: Sandbox, folder: Path) -> None:
    place = folder / "model.safetensors"
    cases = dict(broken_tensors(place.read_bytes()))
    for name in ("one nan", "all nan", "one inf", "all minus inf"):
        place.write_bytes(cases[name])
        outcome = box.attempt("sample", "--class", "8", "--weights", folder, codes=(1,))
        assert "not finite" in outcome.message


@pytest.mark.parametrize("kind", ["tiny", "coded", "auto", "vae", "pp", "multi", "rnn"])
def test_configurations(kind: str, box: Sandbox, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(box.inputs / kind, folder)
    place = folder / "config.json"
    whole = place.read_bytes()
    others = itertools.cycle(users(box))
    step = {"tiny": 2, "coded": 9, "auto": 9}.get(kind, 41)
    for number, (_, content) in enumerate(itertools.islice(broken_configs(whole), 0, None, step)):
        place.write_bytes(content)
        if number % 4 == 0 or kind != "tiny":
            box.attempt(*next(others), folder)
        if kind == "tiny":
            box.attempt("sample", "--seed=1", "--weights", folder, "--class", "8")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_is_no_file(name: str, box: Sandbox, folder: Path) -> None:
    place = folder / name
    ways: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "folder": place.mkdir,
        "pipe": lambda: os.mkfifo(place),
        "loop": lambda: place.symlink_to(name),
        "dangling": lambda: place.symlink_to("nowhere"),
        "zeros without end": lambda: place.symlink_to("/dev/zero"),
        "memory": lambda: place.symlink_to("/proc/self/mem"),
    }
    others = itertools.cycle(users(box))
    for make in ways.values():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        make()
        for words in itertools.islice(others, 5):
            box.attempt(*words, folder, codes=(0, 1, 2))
        if not os.path.lexists(place):
            place.touch()


def test_histories(box: Sandbox, folder: Path) -> None:
    place = folder / "config.json"
    whole = json.loads(place.read_bytes())
    recipe = (box.inputs / "recipe.toml").read_text()
    odd: tuple[Any, ...] = (
        *HOSTILE[::4],
        "\ud800",
        "\x9b31m\x7f",
        math.nan,
        10**400,
        [[]],
        {"a": {"\x1b": 1}},
        None,
    )
    commands = itertools.cycle((("show",), ("show", "--json"), ("verify",), ("path",)))
    for number, value in enumerate(odd):
        training = {"steps": value, "images": value, "minutes": value, "recipe": recipe}
        changes: list[dict[str, object]] = [
            {"training": training, "data": {"path": value}},
            {"training": {"recipe": value, "evaluation": value, "parts": value, "others": value}},
        ]
        place.write_text(json.dumps(whole | changes[number % 2]))
        name, *more = next(commands)
        box.attempt("weights", name, folder, *more, codes=(0, 1))
        if number % 3 == 0:
            box.attempt("export", folder, "-o", "out", codes=(0, 1))


def test_names(box: Sandbox, folder: Path) -> None:
    for name in ("two\nlines", "\x1b[31m", "\udcff", "-x", "~", "a" * 200, "💥", "[", "x@y"):
        other = folder.with_name(name)
        shutil.copytree(folder, other)
        for words in itertools.islice(users(box), 0, None, 3):
            box.attempt(*words, f"../in/broken/{name}")
        shutil.rmtree(other)
