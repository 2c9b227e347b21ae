"""Weights that stay in memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pixelgen import PixelgenError
from pixelgen.checkpoints import cache_weights, load_checkpoint, resolve_weights
from pixelgen.checkpoints.hub import HubRef
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
    cache: LRUCache[str] = LRUCache(1)
    cache.get("a", lambda: "a")
    with pytest.raises(ZeroDivisionError):
        cache.get("b", lambda: str(1 // 0))
    assert cache.get("a", lambda: "rebuilt") == "rebuilt"


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
        tensors = folder / "model.safetensors"
        before, content = tensors.stat(), bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
        os.utime(tensors, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert load_checkpoint(folder).revision != second.revision
        tensors.unlink()
        with pytest.raises(PixelgenError, match=r"no model\.safetensors"):
            load_checkpoint(folder)


def test_a_branch_is_looked_up_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(ref: HubRef, **_: object) -> Source:
        asked.append(ref)
        return Source(weights, ref.repo, "c0ffee")

    monkeypatch.setattr("pixelgen.checkpoints.resolve.fetch", fetch)
    with cache_weights(1):
        for _ in range(3):
            assert resolve_weights("owner/name@main").revision() == "c0ffee"
        resolve_weights("owner/name")
    assert asked == [HubRef("owner/name", "main"), HubRef("owner/name")]
    resolve_weights("owner/name")
    assert len(asked) == 3
