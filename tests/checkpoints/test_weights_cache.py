"""Weights that stay in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pixelgen import PixelgenError
from pixelgen.checkpoints import cache_weights, find, load_checkpoint
from pixelgen.checkpoints.source import Source
from pixelgen.checkpoints.weights_cache import LRUCache


def test_they_are_loaded_once_and_only_inside(weights: Path) -> None:
    with cache_weights(2):
        first = load_checkpoint(weights)
        assert load_checkpoint(weights) is first
        assert load_checkpoint(Source(weights, "tiny")) is first
    assert load_checkpoint(weights) is not first


def test_only_the_last_few_stay(weights: Path, pixel_weights: Path, code_weights: Path) -> None:
    with cache_weights(2):
        first, second = load_checkpoint(weights), load_checkpoint(pixel_weights)
        assert load_checkpoint(weights) is first
        load_checkpoint(code_weights)
        assert load_checkpoint(weights) is first
        assert load_checkpoint(pixel_weights) is not second


def test_there_are_never_more() -> None:
    shelf: LRUCache[str] = LRUCache(1)
    shelf.get("a", lambda: "a")
    with pytest.raises(ZeroDivisionError):
        shelf.get("b", lambda: str(1 // 0))
    assert shelf.get("a", lambda: "made again") == "made again"


def test_files_that_change_are_loaded_again(
    weights: Path, pixel_weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(weights, folder)
    with cache_weights(2):
        first = load_checkpoint(folder)
        assert Source(folder, "mine").revision() == first.revision
        shutil.copytree(pixel_weights, folder, dirs_exist_ok=True)
        second = load_checkpoint(folder)
        assert second.revision == load_checkpoint(pixel_weights).revision != first.revision
        (folder / "model.safetensors").unlink()
        with pytest.raises(PixelgenError, match=r"no model\.safetensors"):
            load_checkpoint(folder)


def test_a_branch_is_looked_up_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def obtain(repo: str, revision: str | None, **_: object) -> Source:
        asked.append((repo, revision))
        return Source(weights, repo, "c0ffee")

    monkeypatch.setattr("pixelgen.checkpoints.hub.obtain", obtain)
    with cache_weights(1):
        for _ in range(3):
            assert find("owner/name@main").revision() == "c0ffee"
        find("owner/name")
    assert asked == [("owner/name", "main"), ("owner/name", None)]
    find("owner/name")
    assert len(asked) == 3
