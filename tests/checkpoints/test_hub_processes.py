"""Pulls by processes of their own, which are killed, interrupted, or two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from pixelgen.checkpoints.hub import HubRef, find_cached
from pixelgen.checkpoints.hub.cache import repo_folder

from ..hub_faults import FILE, assert_recovers, trickle
from ..hub_server import Hub

REF = HubRef("owner/name")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(hub: Hub) -> Iterator[Start]:
    """Starts `pixelgen` as a process that knows this Hub by its environment alone."""
    started: list[subprocess.Popen[str]] = []
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": constants.HF_HUB_CACHE,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }

    def run(*words: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pixelgen", *words]
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A shell's background jobs, and what they start, do not hear of Ctrl-C: this one shall.
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(command, env=environment | more, text=True, **options)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_killed_in_the_middle_and_run_again(hub: Hub, weights: Path, start: Start) -> None:
    hub.add("owner/name", weights)
    hub.when(FILE, lambda handler: trickle(handler, parts=50, pause=0.5), times=1)
    process = start("weights", "pull", "owner/name")
    assert hub.sending.wait(60)
    process.kill()
    process.wait()
    assert find_cached(REF) is None
    # The library may give a part a name of its own, which it does not find again.
    blobs = repo_folder("owner/name") / "blobs"
    part = next(blobs.glob("*.incomplete"))
    old = part.rename(part.with_name(f"{part.name.split('.')[0]}.0123abcd.incomplete"))
    old.write_bytes(b"half of it")
    assert_recovers(hub)
    assert not list(blobs.glob("*.incomplete"))


def test_ctrl_c_in_the_middle(hub: Hub, weights: Path, start: Start) -> None:
    hub.add("owner/name", weights)
    hub.when(FILE, lambda handler: trickle(handler, parts=50, pause=0.5), times=1)
    process = start("weights", "pull", "owner/name", "-q")
    assert hub.sending.wait(60)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130
    assert find_cached(REF) is None
    assert_recovers(hub)


def test_two_at_once(hub: Hub, weights: Path, start: Start) -> None:
    commit = hub.add("owner/name", weights)
    hub.when(FILE, lambda handler: trickle(handler, parts=10, pause=0.1))
    both = [start("weights", "pull", "owner/name", "--json") for _ in range(2)]
    told = ""
    for process in both:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert commit in out
        told += err
    assert "fetching owner/name" in told  # by one of them at least, as the other may start late
    assert_recovers(hub)


def test_the_environment_alone(hub: Hub, weights: Path, start: Start) -> None:
    hub.add("owner/name", weights, private=True)
    process = start("weights", "pull", "owner/name", HF_TOKEN="hf_letmein")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert Path(out.strip()).is_dir()
    asked = len(hub.requests)
    for words, variables in (
        (("weights", "path", "owner/name", "--offline"), {}),
        (("weights", "path", "owner/name"), {"HF_HUB_OFFLINE": "1"}),
    ):
        process = start(*words, **variables)
        assert process.communicate(timeout=100)[0] == out
    assert len(hub.requests) == asked
