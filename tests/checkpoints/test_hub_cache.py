"""Removing weights from the Hub's cache: exactly those that were named."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from pixelgen.checkpoints.hub import HubRef, plan_removal
from pixelgen.checkpoints.hub.cache import delete_file
from pixelgen.errors import PixelgenError

COMMIT, OTHER = "a" * 40, "b" * 40


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def cache_repo(folder: Path, refs: dict[str, str]) -> Path:
    """A repository in the cache with a snapshot of one file for every commit of `refs`."""
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    for ref, commit in refs.items():
        (folder / "refs" / ref).write_text(commit)
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True, exist_ok=True)
        (folder / "blobs" / f"blob-{commit}").write_text(f"{folder.name} at {commit}")
        link(snapshot / "config.json", folder / "blobs" / f"blob-{commit}")
    return folder


def link(path: Path, target: Path) -> None:
    """A link at `path`, in place of what is there; the test is skipped where none can be made."""
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("no links")


def content(folder: Path) -> dict[str, str]:
    """The files in `folder`, links followed, and what they hold."""
    return {str(file): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
@pytest.mark.parametrize("refs", [{"main": COMMIT}, {"main": COMMIT, "v2": OTHER}])
def test_other_repositories_at_the_same_commit_stay(
    revision: str | None, refs: dict[str, str], root: Path
) -> None:
    cats = cache_repo(root / "models--alice--cats", refs)
    # Sets keep no order: among several others, at least one would come first.
    names = ["models--bob--dogs", "datasets--alice--cats", "spaces--alice--cats"]
    names += [f"models--user--n{number}" for number in range(8)]
    others = [cache_repo(root / name, {"main": COMMIT}) for name in names]
    before = [content(other) for other in others]
    plan_removal(HubRef("alice/cats", revision)).execute()
    assert [content(other) for other in others] == before
    assert not (cats / "snapshots" / COMMIT).exists()
    assert (cats / "snapshots" / OTHER).exists() == (
        OTHER in refs.values() and revision is not None
    )
    assert not (cats / "blobs" / f"blob-{COMMIT}").exists()


def test_all_names_of_a_commit_are_told(root: Path) -> None:
    cache_repo(root / "models--alice--cats", {"v1": COMMIT, "main": COMMIT, "v2": OTHER})
    assert plan_removal(HubRef("alice/cats", "v1")).refs == ("main", "v1")
    assert plan_removal(HubRef("alice/cats", "v2")).refs == ("v2",)
    assert plan_removal(HubRef("alice/cats")).refs == ("main", "v1", "v2")


def test_links_out_of_the_repository_are_not_followed(root: Path, tmp_path: Path) -> None:
    folder = cache_repo(root / "models--alice--cats", {"main": COMMIT, "v2": OTHER})
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    link(folder / "snapshots" / COMMIT / "README.md", mine)
    link(folder / "snapshots" / COMMIT / "notes.txt", mine)
    delete_file(folder / "snapshots" / COMMIT / "notes.txt")
    plan_removal(HubRef("alice/cats", "main")).execute()
    assert not (folder / "snapshots" / COMMIT).exists()
    assert mine.read_text() == "mine"


def test_a_repository_that_is_a_link_to_another(root: Path) -> None:
    dogs = cache_repo(root / "models--bob--dogs", {"main": COMMIT})
    link(root / "models--alice--cats", dogs)
    before = content(dogs)
    with pytest.raises(PixelgenError, match="is a link"):
        plan_removal(HubRef("alice/cats", "main"))
    assert content(dogs) == before
