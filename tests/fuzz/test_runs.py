"""Folders of training runs from elsewhere, data sets of odd columns, and what a launcher left."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .sandbox import Sandbox
from .tensors import packed, unpacked

RECIPE = """
[model]
model = "gated_pixelcnn"
height = 4
width = 4
features = 6
layers = 1
[data]
path = "../in/pictures"
split = "test"
holdout = 1
"""
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**400,
    math.nan,
    "",
    "\x1b[2J",
    "\ud800",
    [],
    {},
    [[1]],
)
DEEP = (900, 5000, 100_000)


@pytest.fixture
def recipe(box: Sandbox) -> Iterator[Path]:
    """Of a network that could be trained."""
    place = box.inputs / "broken" / "trained.toml"
    place.write_text(RECIPE)
    yield place
    place.unlink()


def headers(whole: dict[str, Any]) -> Iterator[object]:
    """Headers that are not that of a run."""
    yield from (b"", b"{", b"[]", b"null", b"5", b'"x"', b"NaN", b"1" * 5000, b'{"format": 1}')
    yield from (b"[" * depth + b"]" * depth for depth in DEEP)
    yield from (b'{"a":' * depth + b"1" + b"}" * depth for depth in DEEP)
    for number, key in enumerate(whole):
        yield {name: value for name, value in whole.items() if name != key}
        for value in ODD[number % 2 :: 2]:
            yield {**whole, key: value}
    for number, key in enumerate(whole["counters"]):
        for value in ODD[number % 3 :: 3]:
            yield {**whole, "counters": {**whole["counters"], key: value}}
    for table in ("model", "data", "sampling", "schedule"):
        for value in ODD[::3]:
            yield {**whole, "recipe": {**whole["recipe"], table: value}}
            yield {**whole, "recipe": {**whole["recipe"], table: {"x": value}}}
    for labels in (["x"], [1.5], [-1], [10**30], [1, 1]):
        yield {**whole, "labels": labels}
    yield {**whole, "counters": {}}
    yield {**whole, "more": 1}


def test_headers_of_states(box: Sandbox, recipe: Path) -> None:
    words = ("train", recipe, "--max-minutes", "0", "-q", "-o", "run")
    box.attempt(*words, codes=(0,), keep=True)
    state = box.here / "run" / "state.safetensors"
    outer, tensors = unpacked(state.read_bytes())
    run = json.loads(outer["__metadata__"]["run"])
    box.tidy()
    place = box.inputs / "broken" / "run"
    place.mkdir()
    for number, header in enumerate(headers(run)):
        if isinstance(header, dict) and number % 2:
            continue  # half of them are enough
        text = header.decode() if isinstance(header, bytes) else json.dumps(header)
        whole = {**outer, "__metadata__": {"run": text}}
        (place / state.name).write_bytes(packed(whole, tensors))
        if number % 3 == 0:
            outcome = box.attempt(
                *(*words[:-1], place, "--resume"), "--set", "data.path=../in/nothing", codes=(1, 2)
            )
        else:
            outcome = box.attempt("export", place, "-o", "out", codes=(0, 1))
        assert outcome.code == 0 or outcome.message
    (place / state.name).write_bytes(packed({**outer, "__metadata__": {}}, tensors))
    box.attempt("export", place, "-o", "out", codes=(1,))
    (place / state.name).unlink()
    place.rmdir()


def test_columns_of_data_sets(box: Sandbox) -> None:
    import datasets

    place = box.inputs / "broken" / "columns"
    (place / "data").mkdir(parents=True)
    png = (box.inputs / "photo.png").read_bytes()
    good = {"image": [{"bytes": png, "path": None}] * 2, "label": [8, 207]}
    columns: list[dict[str, Any]] = [
        {"label": [[8], [207]]},
        {"label": [[8], [207, 8]]},
        {"label": ["a", "\x1b[2J"]},
        {"label": [None, 8]},
        {"label": [0.5, 1.0]},
        {"label": [True, False]},
        {"label": [-1, 2**62]},
        {"image": ["x", "y"]},
        {"image": [1, 2]},
        {"image": [[[1, 2], [3, 4]]] * 2},
        {"image": [{"bytes": b"", "path": None}] * 2},
        {"image": [{"bytes": None, "path": None}] * 2},
        {"image": [{"bytes": png[:40], "path": "\x1b]0;owned\x07"}] * 2},
        {"image": [None, None]},
    ]
    for values in columns:
        file = place / "data" / "test-00000-of-00001.parquet"
        datasets.Dataset.from_dict(good | values).to_parquet(file)
        words = ("evaluate", box.inputs / "tiny", "--data", place, "--split", "test")
        box.attempt(*words, codes=(1, 3))
        file.unlink()
    (place / "data").rmdir()
    place.rmdir()


@pytest.mark.parametrize(
    "variables",
    [
        "RANK=x WORLD_SIZE=2",
        "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 TORCHELASTIC_RUN_ID=none",
        "PMI_RANK=2 PMI_SIZE=2",
    ],
)
def test_what_a_launcher_left(variables: str, box: Sandbox, recipe: Path) -> None:
    env = dict(each.split("=", 1) for each in variables.split())
    box.attempt("train", recipe, "--max-minutes", "0", "-o", "run", env=env, codes=(2,))
    box.attempt("batch", box.inputs / "jobs.jsonl", "-o", "out", env=env, codes=(2,))
