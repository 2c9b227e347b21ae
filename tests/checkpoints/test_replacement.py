"""Who is killed while weights are replaced leaves the old ones or the new ones."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixelgen.checkpoints import load_checkpoint, read_config, save_checkpoint
from pixelgen.checkpoints.digests import verify
from pixelgen.checkpoints.source import Source, resolve_local
from pixelgen.errors import UsageError
from pixelgen.models import build_model
from pixelgen.publishing import export

FILES = ["README.md", "config.json", "model.safetensors"]


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    """A context in which the change of a folder of this number, and all later ones, do not happen;
    its value lists those that did."""
    done: list[str] = []

    def dying(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if len(done) == number:
                raise Killed
            done.append(name)
            return inner(*arguments, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("link", "mkdir", "rename", "replace", "rmdir", "unlink", "remove"):
            patch.setattr(os, name, dying(name, getattr(os, name)))
        patch.setattr(os, "fsync", lambda handle: None)
        yield done


@pytest.fixture
def old(weights: Path, tmp_path: Path) -> Path:
    """Weights with a picture, and with tensors and a file that new ones do not have."""
    folder = tmp_path / "old"
    shutil.copytree(weights, folder)
    for name in ("tokenizer.safetensors", "notes.txt"):
        (folder / name).write_bytes(b"")
    return folder


def wider(weights: Path) -> Any:
    """A model that does not fit the configuration of `weights`."""
    config = read_config(weights, "weights").model
    return build_model(replace(config, features=2 * config.features))  # type: ignore


@pytest.mark.parametrize("links", [True, False])
def test_old_or_new_at_any_time(
    weights: Path, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    model, before = wider(weights), load_checkpoint(weights).config.model
    seen = []
    for number in range(1000):
        folder = tmp_path / "w"
        shutil.copytree(old, folder)
        with killed_at(number) as done, suppress(Killed):
            save_checkpoint(folder, model, labels=[1, 2])
        whole = load_checkpoint(folder)  # fits its configuration
        source = resolve_local(folder)
        assert source is not None
        assert {check.state for check in verify(source)} <= {"ok", "unknown"}
        seen.append(whole.config.model == model.config)
        assert seen[-1] or whole.config.model == before
        assert whole.name == "w"
        finished = len(done) < number
        save_checkpoint(folder, model, labels=[1, 2])
        assert sorted(path.name for path in folder.iterdir()) == [*FILES, "notes.txt"]
        assert verify(Source(folder, "w")) == verify(resolve_local(folder) or source)
        shutil.rmtree(folder)
        if finished:
            break
    assert seen == sorted(seen)
    assert 10 < sum(seen) < len(seen) - 3


def test_a_new_folder_can_be_written_to_after_a_kill(weights: Path, tmp_path: Path) -> None:
    for number in range(1, 8):
        folder = tmp_path / f"{number}"
        with killed_at(number), pytest.raises(Killed):
            export.export_weights(str(weights), folder)
        if resolve_local(folder) == Source(folder, folder.name):
            assert not (folder / "config.json").exists()
            export.export_weights(str(weights), folder)  # what is there is of no use to anybody
            assert sorted(path.name for path in folder.iterdir()) == FILES


def test_files_that_appear_meanwhile_are_kept(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "w"
    inner = export.save_checkpoint

    def slowly(*given: Any, **more: Any) -> Path:
        folder.mkdir()
        (folder / "model.safetensors").write_text("mine")
        return inner(*given, **more)

    monkeypatch.setattr(export, "save_checkpoint", slowly)
    with pytest.raises(UsageError, match="exists and is not empty"):
        export.export_weights(str(weights), folder)
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("model.safetensors", "mine")]


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "not here")
