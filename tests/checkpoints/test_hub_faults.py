"""Weights from a stand-in for the Hub, on its bad days: the cache stays whole, and the message says
what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from huggingface_hub import constants

from pixelgen.checkpoints import resolve_weights
from pixelgen.checkpoints.hub import HubRef, Transfer, execute_pull, find_cached, look_up, plan_pull
from pixelgen.errors import PixelgenError

from ..hub_faults import (
    FILE,
    assert_recovers,
    assert_sound,
    fails,
    html,
    length_off_by,
    other_bytes,
    reset_after,
    silence,
    status,
    trickle,
)
from ..hub_server import Fault, Hub, running_hub, sha256

REF = HubRef("owner/name")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody sleeps; how long they would have."""
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    return naps


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits 0.2 s for an answer."""
    monkeypatch.setattr("pixelgen.checkpoints.hub.client.TIMEOUT", 0.2)
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.2)


BROKEN = "try again"


@dataclass(frozen=True)
class Case:
    """A fault, and what is said about it."""

    pattern: str
    fault: Fault
    says: str
    hint: str


LASTING = {
    "reset": Case(FILE, reset_after(300), "breaks off", BROKEN),
    "too short": Case(FILE, length_off_by(500), "", BROKEN),
    "too long": Case(FILE, length_off_by(-500), "another size", BROKEN),
    "other bytes": Case(FILE, other_bytes, "does not have the digest", "proxy or mirror"),
    "file gone": Case(FILE, status(404), "the Hub answers 404", "see http://127"),
    "api 500": Case("GET /api", status(500), "the Hub answers 500", "try again later"),
    "file 502": Case(FILE, status(502), "the Hub answers 502", "try again later"),
    "head 503": Case("HEAD", status(503), "the Hub answers 503", "try again later"),
    "busy for an hour": Case(
        "GET /api", status(429, Retry_After="3600"), "busy (429)", "try again in 3600 s"
    ),
    "file busy for an hour": Case(
        FILE, status(503, Retry_After="3600"), "busy (503)", "try again in 3600 s"
    ),
    "hotel": Case("GET /api", html, "sent a response that is not from a Hub", "check HF_ENDPOINT"),
    "no headers": Case("HEAD", lambda h: h.send(b"x"), "not from a Hub", "check HF_ENDPOINT"),
    "forbidden": Case("GET /api", status(403), "does not permit", "allowed to read"),
}


@pytest.mark.parametrize("case", LASTING.values(), ids=LASTING)
def test_a_fault_that_stays(case: Case, hub: Hub, weights: Path, slept: list[float]) -> None:
    hub.add("owner/name", weights)
    hub.when(case.pattern, case.fault)
    error = fails()
    assert case.says in error.message
    assert case.hint in error.hint
    assert sum(slept) < 60
    assert find_cached(REF) is None
    assert_recovers(hub)


PASSING = {
    "reset": (FILE, reset_after(300)),
    "reset at once": (FILE, lambda h: h.reset()),
    "too short": (FILE, length_off_by(500)),
    "too long": (FILE, length_off_by(-500)),
    "other bytes": (FILE, other_bytes),
    "api 429": ("GET /api", status(429, Retry_After="2")),
    "head 503": ("HEAD", status(503, Retry_After="2")),
    "file 429": (FILE, status(429, Retry_After="2")),
    "rate limit": (FILE, status(429, RateLimit='"api";r=0;t=2')),
}


@pytest.mark.parametrize(("pattern", "fault"), PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_is_not_noticed(
    pattern: str, fault: Fault, hub: Hub, weights: Path, slept: list[float]
) -> None:
    hub.add("owner/name", weights)
    hub.when(pattern, fault, times=1)
    notes: list[Transfer] = []
    resolve_weights("owner/name", on_transfer=notes.append)
    assert sum(slept) < 10
    if "busy" in " ".join(transfer.note for transfer in notes):
        assert 2 in slept
    assert hub.rules[0].times == 0
    assert_recovers(hub)


def test_a_date_to_wait_for(hub: Hub, weights: Path, slept: list[float]) -> None:
    hub.add("owner/name", weights)
    then = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=20), usegmt=True)
    hub.when("GET /api", status(503, Retry_After=then), times=1)
    resolve_weights("owner/name")
    assert 15 < slept[0] <= 20


def test_waits_add_up(hub: Hub, weights: Path, slept: list[float]) -> None:
    hub.add("owner/name", weights)
    hub.when("GET /api", status(429, Retry_After="25"))
    assert "busy" in fails().message
    assert slept == [25, 25]


def test_a_hub_that_is_not_there(hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add("owner/name", weights)
    with running_hub() as gone:
        pass
    with monkeypatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", gone.url)
        error = fails()
        assert f"{gone.url} cannot be reached" in error.message
        assert "HF_ENDPOINT" in error.hint
    resolve_weights("owner/name")
    with monkeypatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", gone.url)
        assert resolve_weights("owner/name").commit == commit
        with pytest.raises(PixelgenError, match="cannot be reached"):
            look_up(REF)


def test_a_hub_that_says_nothing(hub: Hub, weights: Path, impatient: None) -> None:
    hub.add("owner/name", weights)
    hub.when("GET /api", silence)
    assert "does not answer" in fails().message
    assert_recovers(hub)


def test_a_file_that_stops(hub: Hub, weights: Path, impatient: None, slept: list[float]) -> None:
    hub.add("owner/name", weights)
    hub.when(FILE, silence)
    assert "does not answer" in fails().message
    assert_recovers(hub)


def test_a_slow_hub_is_followed(hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.hub.pulling._POLL_INTERVAL", 0.05)
    monkeypatch.setattr("pixelgen.checkpoints.hub.client.CHUNK", 512)
    hub.add("owner/name", weights)
    hub.when(FILE, lambda handler: trickle(handler, parts=10, pause=0.1))
    seen: list[Transfer] = []
    resolve_weights("owner/name", on_transfer=seen.append)
    amounts = [transfer.done for transfer in seen]
    assert amounts == sorted(amounts)
    assert len(set(amounts)) > 3
    assert_recovers(hub)


def test_a_pull_that_fails_leaves_the_old_weights_in_use(
    hub: Hub, weights: Path, tmp_path: Path, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = hub.add("owner/name", weights)
    resolve_weights("owner/name")
    newer = tmp_path / "newer"
    shutil.copytree(weights, newer)
    tensors = (newer / "model.safetensors").read_bytes()
    put_tensors(newer, tensors[:-1] + bytes([tensors[-1] ^ 1]))
    hub.add("owner/name", newer)
    hub.when(FILE, reset_after(300))
    fails()
    assert_sound()
    assert find_cached(REF).commit == old
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert resolve_weights("owner/name").commit == old
    hub.rules.clear()
    assert resolve_weights("owner/name").commit != old


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 kB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, timeout=10)
    except OSError:
        pytest.skip("no mount")
    if done.returncode:
        pytest.skip("no permission to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=10)


@pytest.fixture
def larger(weights: Path, tmp_path: Path) -> Path:
    """Weights of 120 kB: the tensors have another header, which says the same."""
    folder = tmp_path / "larger"
    shutil.copytree(weights, folder)
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length] + b" " * 120_000
    put_tensors(folder, len(text).to_bytes(8, "little") + text + data[8 + length :])
    return folder


def put_tensors(folder: Path, data: bytes) -> None:
    """Other tensors, and their digest in the configuration."""
    (folder / "model.safetensors").write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    config["sha256"]["model.safetensors"] = sha256(data)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("told", [True, False], ids=["measured before", "met on the way"])
def test_a_full_disk(
    told: bool, hub: Hub, larger: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/name", larger)
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(small_disk / "hub"))
        if not told:
            patch.setattr("pixelgen.checkpoints.hub.pulling._check_space", lambda plan: None)
        error = fails()
        assert ("are free in" if told else "no space left") in error.message
        assert "HF_HOME" in error.hint
        assert hub.count(FILE) == (0 if told else 1)
        assert_sound()
        assert find_cached(REF) is None
    assert_recovers(hub)


def test_a_simulated_full_disk(hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("owner/name", weights)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", full)
        assert "no space left" in fails().message
    assert_recovers(hub)


def test_a_cache_that_cannot_be_written(
    hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/name", weights)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", closed)
        error = fails()
        assert "cannot write to" in error.message
        assert "HF_HOME" in error.hint
    assert_recovers(hub)


def test_a_cache_that_is_a_file(
    hub: Hub, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/name", weights)
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
        assert "cannot write to" in fails().message
    assert_recovers(hub)


def test_plans_are_made_of_what_is_whole(hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    resolve_weights("owner/name")
    made = plan_pull(look_up(REF))
    assert made.missing == ()
    hub.requests.clear()
    execute_pull(made)
    assert hub.count("GET") == 0
