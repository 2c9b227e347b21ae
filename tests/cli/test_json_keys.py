"""What `--json` prints has the keys that docs/output.md names, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..hub_server import TOKEN, Hub
from .conftest import Run

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "tests" / "assets"
PHOTO = str(ASSETS / "male-12.jpg")
OUTPUT = (ROOT / "docs" / "output.md").read_text("utf-8")
DRAWING = {"sample", "portrait", "interpolate", "complete", "reconstruct"}

# A word that begins with @ is a fixture.
RUNS = {
    "sample": ["@weights", "-c", "207"],
    "portrait": ["@face_weights", PHOTO, "-n", "1", "--no-align"],
    "interpolate": ["@pixel_weights", "-c", "8", "-c", "207", "--steps", "2"],
    "complete": ["@pixel_weights", PHOTO, "--keep", "top:50%", "-n", "1"],
    "reconstruct": ["@autoencoders", PHOTO, "-n", "1"],
    "score": ["@pixel_weights", PHOTO],
    "encode": ["@code_weights", PHOTO, "-o", "codes.safetensors"],
    "faces": [PHOTO],
    "classes": ["lion"],
    "weights list": [],
    "weights verify": ["@weights"],
    "config list": [],
}
MISSING = {
    "interpolate": {"photos", "similarity"},  # of photos
    "score": {"importance_samples"},  # of bounds
}


def documented(command: str) -> set[str]:
    """The keys in the table of a command."""
    titles = [f"pixelgen {command}"]
    if command in DRAWING:
        titles.append("Keys of all commands that draw")
    keys: list[str] = []
    for title in titles:
        (section,) = re.findall(rf"^### {title}\n(.*?)(?=^#|\Z)", OUTPUT, re.M | re.S)
        keys += re.findall(r"^\| `(.+?)` \|", section, re.M)
    assert len(keys) == len(set(keys))
    return set(keys)


def keys_of(value: Any, depth: int, known: set[str], name: str = "") -> set[str]:
    """The keys of a JSON value: those of objects in an array too, where `known` keys say so."""
    if isinstance(value, Mapping) and (not depth or any(k.startswith(f"{name}.") for k in known)):
        prefix = f"{name}." if name else ""
        parts = [keys_of(v, depth + 1, known, prefix + key) for key, v in value.items()]
        return set().union(*parts)
    if isinstance(value, Sequence) and any(key.startswith(f"{name}[].") for key in known):
        return set().union(*(keys_of(one, depth + 1, known, f"{name}[]") for one in value))
    return {name}


def asked(words: Sequence[str], request: pytest.FixtureRequest, command: str) -> list[str]:
    """The words, with --weights before a fixture where it is an option."""
    given: list[str] = []
    for word in words:
        if word.startswith("@"):
            given += [] if command.startswith("weights") else ["--weights"]
            word = str(request.getfixturevalue(word[1:]))
        given.append(word)
    return given


@pytest.mark.parametrize("command", RUNS)
def test_keys_are_those_of_the_page(command: str, run: Run, request: pytest.FixtureRequest) -> None:
    words = asked(RUNS[command], request, command)
    outcome = run(*command.split(), *words, "--json")
    assert outcome.code == 0, outcome.err
    known = documented(command)
    found = keys_of(json.loads(outcome.out), 0, known)
    assert found == known - MISSING.get(command, set())


def test_keys_of_decode(run: Run, code_weights: Path) -> None:
    run("encode", PHOTO, "-o", "codes.safetensors", "--weights", code_weights)
    outcome = run("decode", "codes.safetensors", "--json", "--weights", code_weights)
    assert keys_of(json.loads(outcome.out), 0, set()) == documented("decode")


def test_keys_of_batch(run: Run, weights: Path) -> None:
    job = {"command": "sample", "weights": str(weights), "class": 207}
    Path("jobs.jsonl").write_text(json.dumps(job))
    outcome = run("batch", "jobs.jsonl", "-o", "out", "--quiet")
    assert keys_of(json.loads(outcome.out), 0, set()) == documented("batch")


def test_keys_of_a_way_between_faces(run: Run, face_weights: Path) -> None:
    words = ("--no-align", "--steps", "2", "--weights", face_weights, "--json")
    outcome = run("interpolate", PHOTO, PHOTO, *words)
    assert keys_of(json.loads(outcome.out), 0, set()) == documented("interpolate") - {"classes"}


def test_keys_of_a_pull(run: Run, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("owner/name", weights)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    outcome = run("weights", "pull", "owner/name", "--json", "--quiet")
    assert keys_of(json.loads(outcome.out), 0, set()) == documented("weights pull")
