"""`pixelgen classes` and `pixelgen weights`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def test_lists_all(run: Run) -> None:
    lines = run("classes").out.splitlines()
    assert len(lines) == 1000
    assert lines[207] == "207  n02099601  golden retriever"


@pytest.mark.parametrize(
    ("query", "found"),
    [("207", [207]), ("n02099601", [207]), ("GOLDEN retr", [207]), ("5-7", [5, 6, 7])],
)
def test_query(run: Run, query: str, found: list[int]) -> None:
    rows = json.loads(run("classes", query, "--json").out)
    assert [row["index"] for row in rows] == found
    assert set(rows[0]) == {"index", "wnid", "names"}


def test_only_those_that_weights_know(run: Run, weights: Path) -> None:
    assert run("classes", "--weights", weights).out.split()[:2] == ["8", "n01514859"]
    assert run("classes", "retriever", "--weights", weights).out.count("\n") == 1


def test_nothing_found(run: Run) -> None:
    outcome = run("classes", "golden retreiver")
    assert (outcome.code, outcome.out) == (1, "")
    assert "207 golden retriever" in outcome.err


def test_facts_of_weights(run: Run, weights: Path) -> None:
    facts = json.loads(run("weights", "show", weights, "--json").out)
    assert facts["name"] == "tiny"
    assert facts["labels"] == [8, 207]
    assert facts["revision"].startswith("sha256:")


def test_bundled_weights_are_listed(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: weights.parent)
    assert run("weights").out.startswith("tiny  pixelcnn  4×4  2 classes")
    assert json.loads(run("weights", "--json").out)[0]["name"] == "tiny"


def test_weights_without_classes(run: Run, face_weights: Path) -> None:
    for words in (["classes"], ["classes", "lion"]):
        outcome = run(*words, "--weights", face_weights)
        assert (outcome.code, outcome.err) == (1, "error: faces has no classes\n")
    assert run("classes", "--weights", face_weights, "--json").out == "[]\n"
