"""Mirrors that send without end, or hardly at all: a pull ends soon, and has stored little."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from huggingface_hub import constants

from pixelgen.checkpoints import resolve_weights
from pixelgen.checkpoints.hub import bounds, look_up
from pixelgen.checkpoints.hub_ref import HubRef

from ..hub_faults import FILE, assert_recovers, fails, trickle
from ..hub_server import Fault, Handler, Hub

REF = HubRef("owner/name")
LIST, CONFIG = "GET /api", "GET .*config.json"


@dataclass
class Endless:
    """A body without an announced length that does not end while anybody reads it."""

    sent: int = 0

    def __call__(self, handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while self.sent < 2**28:
            self.sent += handler.wfile.write(b" " * 2**16)


@cache
def zipped() -> bytes:
    """A few bytes that unpack to 32 MiB."""
    return gzip.compress(b" " * 2**25)


def bomb(handler: Handler) -> None:
    """A small body that unpacks to a large one."""
    handler.send(zipped(), 200, {"Content-Encoding": "gzip"})


def drip(handler: Handler) -> None:
    """A response in single bytes, its headers too."""
    handler.close_connection = True
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nX-More: " + b"x" * 9999:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.hub.closing.wait(0.05):
            return


def drip_body(handler: Handler) -> None:
    """A body in single bytes."""
    handler.close_connection = True
    handler.send(b"[" * 9999, cut=0)
    while not handler.hub.closing.wait(0.05):
        handler.wfile.write(b"[")
        handler.wfile.flush()


def without_sizes(handler: Handler) -> None:
    """The list of files of a mirror that does not know their sizes."""
    told = handler.description("owner/name")
    told["siblings"] = [{**row, "size": None} for row in told["siblings"]]
    handler.send(json.dumps(told).encode())


@pytest.mark.parametrize("fault", ["endless", "bomb"])
@pytest.mark.parametrize(
    ("pattern", "knows_sizes"), [(LIST, True), (CONFIG, True), (CONFIG, False), (FILE, False)]
)
def test_bytes_without_end(
    fault: str,
    pattern: str,
    knows_sizes: bool,
    hub: Hub,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_FILE", 2**22)
    hub.add("owner/name", weights)
    if not knows_sizes:
        hub.when(LIST, without_sizes)
    endless = Endless()
    hub.when(pattern, endless if fault == "endless" else bomb)
    error = fails()
    assert "sends more bytes than it announced" in error.message
    assert "HF_ENDPOINT" in error.hint
    assert endless.sent < 2**26
    stored = [file.stat().st_size for file in Path(constants.HF_HUB_CACHE).rglob("*")]
    assert sum(stored) < 2**23
    assert_recovers(hub)


@pytest.mark.parametrize(
    ("pattern", "fault"), [(LIST, drip), (LIST, drip_body), ("HEAD", drip), (FILE, drip_body)]
)
def test_one_byte_at_a_time(
    pattern: str, fault: Fault, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "RATE_WINDOW", 0.3)
    hub.add("owner/name", weights)
    hub.when(pattern, fault)
    started = time.monotonic()
    error = fails()
    assert time.monotonic() - started < 3
    assert "is too slow" in error.message
    assert "bytes per second" in error.message
    assert "HF_HUB_OFFLINE" in error.hint


def test_a_slow_line_is_no_mirror_of_single_bytes(
    hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "RATE_WINDOW", 0.2)
    hub.add("owner/name", weights)
    hub.when(FILE, lambda handler: trickle(handler, parts=10, pause=0.05))
    assert resolve_weights("owner/name").commit


def test_a_card_of_any_size_is_left_out(
    hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.hub.pulling.LARGEST_CARD", 3)
    hub.add("owner/name", weights)
    assert not (resolve_weights("owner/name").path / "README.md").exists()


def test_other_calls_of_the_process_are_not_bounded(hub: Hub, weights: Path) -> None:
    from huggingface_hub import get_session

    hub.add("owner/name", weights)
    look_up(REF)
    session = get_session()
    hooks = session.hooks if hasattr(session, "hooks") else session.event_hooks
    assert not [hook for event in hooks.values() for hook in event if "pixelgen" in repr(hook)]
