"""Weights from a stand-in for the Hub, on a good day."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants, try_to_load_from_cache

import pixelgen
from pixelgen.checkpoints import load_checkpoint, resolve_weights
from pixelgen.checkpoints.digests import verify
from pixelgen.checkpoints.hub import (
    HubRef,
    Transfer,
    cached_weights,
    execute_pull,
    find_cached,
    look_up,
    plan_pull,
    plan_removal,
)
from pixelgen.checkpoints.hub.cache import repo_folder
from pixelgen.cli.errors import exit_code_of
from pixelgen.cli.hints import HINTS
from pixelgen.errors import PixelgenError, UsageError, WeightsError

from ..hub_server import TOKEN, Handler, Hub, sha256

REF = HubRef("owner/name")

NEEDED = {"config.json", "model.safetensors", "README.md"}


@pytest.fixture
def bigger(weights: Path, tmp_path: Path) -> Path:
    """The weights beside files that nobody needs."""
    folder = tmp_path / "bigger"
    shutil.copytree(weights, folder)
    (folder / "samples.png").write_bytes(b"a picture")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return folder


def changed(weights: Path, tmp_path: Path, name: str = "changed") -> Path:
    """The same weights with another card."""
    folder = tmp_path / name
    shutil.copytree(weights, folder)
    (folder / "README.md").write_text(f"# {name}\n")
    return folder


def test_only_what_is_needed_goes_into_the_hubs_own_cache(hub: Hub, bigger: Path) -> None:
    commit = hub.add("owner/name", bigger)
    loaded = load_checkpoint("owner/name")
    assert (loaded.name, loaded.revision) == ("owner/name", commit)
    assert {file.name for file in loaded.path.iterdir()} == NEEDED
    assert hub.count("GET .*(png|bin)") == 0
    assert hub.leaks == []
    assert try_to_load_from_cache("owner/name", "config.json") == str(loaded.path / "config.json")
    assert loaded.path.is_relative_to(constants.HF_HUB_CACHE)
    assert all(check.state == "ok" for check in verify(resolve_weights("owner/name")))


@pytest.mark.parametrize("kind", ["face_weights", "autoencoders"])
def test_every_part_is_pulled(kind: str, hub: Hub, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    hub.add("owner/name", folder)
    loaded = load_checkpoint("owner/name")
    assert {file.name for file in loaded.path.iterdir()} == {f.name for f in folder.iterdir()}
    assert {check.state for check in verify(resolve_weights("owner/name"))} == {"ok"}


def test_two_lines_of_python(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights, private=True)
    loaded = pixelgen.Weights.from_pretrained("owner/name", "cpu", token=TOKEN)
    assert loaded.sample(n=1, seed=1).images[0].size == (4, 4)
    assert pixelgen.load("owner/name", "cpu", token=TOKEN).sample(seed=1)[0].image.size == (4, 4)


def test_what_the_cache_has_is_not_fetched_again(
    hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("owner/name", weights)
    first = resolve_weights("owner/name")
    hub.requests.clear()
    assert resolve_weights("owner/name") == first
    assert hub.requests == ["GET /api/models/owner/name"]
    assert resolve_weights(f"owner/name@{commit}") == first
    assert len(hub.requests) == 1
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve_weights("owner/name") == first
    assert len(hub.requests) == 1


def test_revisions(hub: Hub, weights: Path, tmp_path: Path) -> None:
    old = hub.add("owner/name", weights)
    hub.repos["owner/name"].refs["v1"] = old
    assert resolve_weights("owner/name").commit == old
    new = hub.add("owner/name", changed(weights, tmp_path))
    assert resolve_weights("owner/name").commit == new
    assert resolve_weights("owner/name@v1").commit == old
    assert resolve_weights(f"owner/name@{old}").commit == old
    assert "changed" in (resolve_weights("owner/name").path / "README.md").read_text()
    found = {w.source.commit: (w.refs, w.complete) for w in cached_weights()}
    assert found == {old: (("v1",), True), new: (("main",), True)}
    # Both share the tensors, so one of them costs only its card.
    gone = plan_removal(HubRef("owner/name", "v1"))
    assert gone.commits == (old,)
    assert 0 < gone.size < 100
    gone.execute()
    assert find_cached(HubRef("owner/name", "v1")) is None
    assert [w.source.commit for w in cached_weights()] == [new]
    plan_removal(REF).execute()
    assert cached_weights() == []


def test_an_address_is_as_good_as_a_name(hub: Hub, weights: Path) -> None:
    commit = hub.add("owner/name", weights)
    source = resolve_weights("https://huggingface.co/owner/name")
    assert (source.name, source.commit) == ("owner/name", commit)
    assert resolve_weights(f"hf://owner/name@{commit}") == source


def test_a_branch_that_moves_while_it_is_pulled(hub: Hub, weights: Path, tmp_path: Path) -> None:
    hub.add("owner/name", weights)
    made = plan_pull(look_up(REF))
    new = hub.add("owner/name", changed(weights, tmp_path))
    assert execute_pull(made).commit == new
    assert find_cached(REF).commit == new


def test_sizes_before_a_pull_and_progress(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    made = plan_pull(look_up(REF))
    sizes = {name: (weights / name).stat().st_size for name in NEEDED}
    assert {file.name: file.size for file in made.files} == sizes
    assert made.to_fetch == made.size - sizes["config.json"]
    assert find_cached(REF) is None
    assert cached_weights() == []  # the configuration alone is there
    seen: list[Transfer] = []
    execute_pull(made, on_transfer=seen.append)
    total = made.to_fetch
    assert (seen[0].done, seen[-1].done) == (0, total)
    assert {transfer.total for transfer in seen} == {total}


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_private_repository(
    way: str, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/name", weights, private=True)
    with pytest.raises(PixelgenError) as caught:
        resolve_weights("owner/name")
    assert "not found" in caught.value.message
    assert "token" in caught.value.hint
    assert "--token" in HINTS[caught.value.code]
    if way == "variable":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert resolve_weights("owner/name", token=TOKEN if way == "option" else None).commit
    assert hub.leaks == []


REFUSALS = {
    "nobody/nothing": ("not found at http://127", "check the name"),
    "owner/name@v9": ("no such revision", "branches, tags and commits"),
    "owner/gated": ("gated", "ask for access at http://127"),
    "owner/empty": ("has no config.json", "/models?library=pixelgen"),
    "owner/part": ("has no model.safetensors", "not complete"),
    "owner/mixed": ("not the one that config.json was written with", "push both again"),
    "owner/bert": ("config.json is of transformers, not of pixelgen", "pixelgen exported"),
    "owner/na--me": ("not a valid Hub id", "owner/name"),
}


@pytest.mark.parametrize("ref", REFUSALS)
def test_what_the_hub_does_not_have(ref: str, hub: Hub, bigger: Path, tmp_path: Path) -> None:
    hub.add("owner/name", bigger)
    hub.add("owner/gated", bigger, gated=True)
    (tmp_path / "empty").mkdir()
    hub.add("owner/empty", tmp_path / "empty")
    (bigger / "model.safetensors").write_bytes(b"of another export")
    hub.add("owner/mixed", bigger)
    (bigger / "model.safetensors").unlink()
    hub.add("owner/part", bigger)
    (bigger / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (bigger / "model.safetensors").write_bytes(b"something large")
    hub.add("owner/bert", bigger)
    says, hint = REFUSALS[ref]
    with pytest.raises(PixelgenError) as caught:
        resolve_weights(ref)
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert exit_code_of(caught.value) == (1 if ref == "owner/bert" else 4)
    assert hub.count("GET /cdn") == 0


def test_a_wrong_token_is_refused_and_never_repeated(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    with pytest.raises(PixelgenError, match="the token is refused") as caught:
        resolve_weights("owner/name", token="hf_wrong")
    assert "hf_wrong" not in caught.value.message + caught.value.hint
    with pytest.raises(PixelgenError, match="holds a character") as caught:
        resolve_weights("owner/name", token="hf_\nsecret")
    assert "secret" not in caught.value.message + caught.value.hint
    assert isinstance(caught.value, UsageError)


def test_names_that_lead_out_of_the_cache_are_no_hub_ids(hub: Hub) -> None:
    for ref in ("a/b@../../c", "a/..", "a/b@x/../../../y", "../a/b"):
        with pytest.raises(PixelgenError, match="no weights folder"):
            resolve_weights(ref)
    assert hub.requests == []


def test_damaged_files_are_seen_and_fetched_again(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    source = resolve_weights("owner/name")
    for name in ("config.json", "model.safetensors"):
        path = source.path / name
        path.write_bytes(path.read_bytes()[:-1])
    (source.path / "README.md").unlink()
    states = {check.file: check.state for check in verify(source)}
    assert states["config.json"] == "changed"
    execute_pull(plan_pull(look_up(REF)))
    assert {check.file: check.state for check in verify(source)} == dict.fromkeys(NEEDED, "ok")
    (source.path / "model.safetensors").resolve().unlink()
    assert find_cached(REF) is None
    assert resolve_weights("owner/name") == source
    assert find_cached(REF) == source


def test_offline_says_what_is_missing(
    hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/name", weights)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PixelgenError, match="not in the cache") as caught:
        resolve_weights("owner/name")
    assert (exit_code_of(caught.value), caught.value.code) == (4, "weights-not-cached")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    source = resolve_weights("owner/name")
    (source.path / "model.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PixelgenError, match=r"model\.safetensors is missing"):
        resolve_weights("owner/name")


def test_a_cache_that_the_library_cannot_read_can_be_removed(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    folder = resolve_weights("owner/name").path.parents[1]
    (folder / "snapshots" / "not a folder").write_text("")
    with pytest.raises(PixelgenError, match="damaged"):
        plan_removal(HubRef("owner/name", "main"))
    plan_removal(REF).execute()
    assert not folder.exists()
    with pytest.raises(PixelgenError, match="is not in the cache"):
        plan_removal(REF)


def test_the_library_keeps_quiet_and_is_left_as_it_was(
    hub: Hub, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled

    hub.add("owner/name", weights)
    log = logging.getLogger("huggingface_hub")
    before = (log.level, are_progress_bars_disabled(), constants.DOWNLOAD_CHUNK_SIZE)
    resolve_weights("owner/name")
    assert capsys.readouterr() == ("", "")
    after = (log.level, are_progress_bars_disabled(), constants.DOWNLOAD_CHUNK_SIZE)
    assert after == before
    assert re.fullmatch("[0-9a-f]{40}", resolve_weights("owner/name").revision())


def _leave_part(weights: Path, data: bytes | None = None) -> tuple[Path, bytes]:
    """The cache after a pull of the weights that was killed in the middle: the part of the large
    file, with `data` in it, and the whole file."""
    whole = (weights / "model.safetensors").read_bytes()
    part = repo_folder("owner/name") / "blobs" / f"{sha256(whole)}.0123abcd.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[: len(whole) // 2] if data is None else data)
    return part, whole


def _asked_ranges(hub: Hub) -> list[str | None]:
    """The ranges of the large file that will be asked for."""
    asked: list[str | None] = []

    def note(handler: Handler) -> None:
        asked.append(handler.headers.get("Range"))
        handler.respond()

    hub.when("GET /cdn/", note)
    return asked


def test_a_killed_pull_is_continued(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    part, whole = _leave_part(weights)
    part.with_name(part.name.replace("0123", "4567")).write_bytes(b"less of it")
    asked, notes = _asked_ranges(hub), list[str]()
    plan = plan_pull(look_up(REF))
    execute_pull(plan, on_transfer=lambda transfer: notes.append(transfer.note))
    assert asked == [f"bytes={len(whole) // 2}-"]
    assert (resolve_weights("owner/name").path / "model.safetensors").read_bytes() == whole
    assert any("continues a pull that was killed" in note for note in notes)
    assert not list(part.parent.glob("*.incomplete"))
    assert hub.leaks == []


@pytest.mark.parametrize("data", [b"something else", b"too long" * 10**6], ids=["other", "longer"])
def test_a_part_of_another_file_is_not_used(hub: Hub, weights: Path, data: bytes) -> None:
    hub.add("owner/name", weights)
    part, whole = _leave_part(weights, data)
    source = resolve_weights("owner/name")
    assert (source.path / "model.safetensors").read_bytes() == whole
    assert not list(part.parent.glob("*.incomplete"))


def test_a_part_that_is_a_link_is_left_alone(hub: Hub, weights: Path, tmp_path: Path) -> None:
    hub.add("owner/name", weights)
    part, whole = _leave_part(weights)
    mine = part.rename(tmp_path / "mine")
    part.symlink_to(mine)
    source = resolve_weights("owner/name")
    assert (source.path / "model.safetensors").read_bytes() == whole
    assert mine.read_bytes() == whole[: len(whole) // 2]


def test_a_hub_without_ranges_sends_all_of_it(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    _, whole = _leave_part(weights)
    hub.when("GET /cdn/", lambda handler: handler.send(whole), times=1)
    source = resolve_weights("owner/name")
    assert (source.path / "model.safetensors").read_bytes() == whole


def test_what_arrives_of_the_rest_is_kept(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    part, whole = _leave_part(weights)
    hub.when("GET /cdn/", lambda handler: handler.send_json({}, 502))
    with pytest.raises(WeightsError, match="502"):
        resolve_weights("owner/name")
    assert part.read_bytes() == whole[: len(whole) // 2]
