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

from pixelgen.checkpoints import load_checkpoint, read_config, save_checkpoint, storage
from pixelgen.checkpoints.digests import verify
from pixelgen.checkpoints.replacement import new_version
from pixelgen.checkpoints.source import Source, resolve_local
from pixelgen.errors import UsageError, WeightsError
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


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("alike", [True, False])
def test_weights_that_are_replaced_while_they_are_read(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, alike: bool
) -> None:
    """They are the new ones altogether: tensors may fit the configuration of the old ones."""
    folder = tmp_path / "w"
    shutil.copytree(weights, folder)
    left = list(range(times))

    def replaced_meanwhile(path: Path, name: str) -> Any:
        config = read_config(path, name)
        if left:
            model = build_model(config.model) if alike else wider(folder)
            save_checkpoint(folder, model, labels=[left.pop(), 9])
        return config

    monkeypatch.setattr(storage, "read_config", replaced_meanwhile)
    if times == 3:
        with pytest.raises(WeightsError, match="weights w were replaced while they were read"):
            load_checkpoint(folder)
        return
    loaded = load_checkpoint(folder)
    monkeypatch.undo()
    assert loaded.config == read_config(folder, "w")
    for name, tensor in load_checkpoint(folder).network.state_dict().items():
        assert tensor.equal(loaded.network.state_dict()[name])


def test_weights_that_are_put_into_place_while_they_are_read(
    weights: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(old, "old")
    for number in range(1000):
        with killed_at(number), suppress(Killed):
            save_checkpoint(old, wider(weights), labels=[1, 2])
        source = resolve_local(old) or source
        if source.path != old:
            break

    def finished_meanwhile(path: Path, name: str) -> Any:
        config = read_config(path, name)
        with suppress(Killed), new_version(old):
            raise Killed
        return config

    monkeypatch.setattr(storage, "read_config", finished_meanwhile)
    loaded = load_checkpoint(source)
    assert (loaded.path, loaded.config.labels) == (old, (1, 2))
