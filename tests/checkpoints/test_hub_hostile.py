"""Answers that no Hub gives: each is one line, nothing is written outside the cache, and the next
good day is a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from pixelgen.checkpoints.hub import HubRef, find_cached, look_up
from pixelgen.errors import PixelgenError, UsageError

from ..hub_faults import FILE, assert_recovers, fails, html, status
from ..hub_server import Fault, Handler, Hub

REF = HubRef("owner/name")

ODD = "sent a response that is not from a Hub"
LIST = "GET /api"
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> Fault:
    """The list of files with a change; bytes are sent as they are."""

    def fault(handler: Handler) -> None:
        said = change(handler.description("owner/name"))
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        handler.send(data, 200, {"Content-Type": "application/json"})

    return fault


def every_file(**values: object) -> Change:
    """A list whose files are all described so."""
    return lambda said: said | {"siblings": [row | values for row in said["siblings"]]}


ANSWERS: dict[str, tuple[Change, str]] = {
    "no list": (lambda said: said | {"siblings": None}, "has no config.json"),
    "names that lead elsewhere": (every_file(rfilename="../../x"), "has no config.json"),
    "NUL in names": (every_file(rfilename="config.json\0"), "has no config.json"),
    "names of numbers": (every_file(rfilename=5), ODD),
    "names of lists": (every_file(rfilename=[]), ODD),
    "files of strings": (lambda said: said | {"siblings": ["config.json"]}, ODD),
    "sizes of words": (every_file(size="many"), ODD),
    "negative sizes": (every_file(size=-1), ODD),
    "endless sizes": (every_file(size=10**400), ODD),
    "a huge configuration": (every_file(size=10**10), "larger than a configuration can be"),
    "digests that lead elsewhere": (every_file(lfs={"sha256": "../x", "size": 1}), ODD),
    "digests of numbers": (every_file(lfs=None, blobId=7), ODD),
    "digests that match all": (every_file(lfs=None, blobId="*"), ODD),
    "no commit": (lambda said: said | {"sha": None}, ODD),
    "a number as commit": (lambda said: said | {"sha": 5}, ODD),
    "a commit that leads elsewhere": (lambda said: said | {"sha": "../../x"}, ODD),
    "a commit that is not there": (lambda said: said | {"sha": "a" * 40}, "no such revision"),
    "a list": (lambda said: [said], ODD),
    "nothing": (lambda said: b"", ODD),
    "no text": (lambda said: b"\xff\xfe{", ODD),
    "very deep": (lambda said: b"[" * 200_000, ODD),
    "a long number": (lambda said: b"1" * 10_000, ODD),
}


@pytest.mark.parametrize(("change", "says"), ANSWERS.values(), ids=ANSWERS)
def test_lists_of_files(change: Change, says: str, hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    hub.when(LIST, changed(change))
    assert says in fails().message
    assert hub.count(FILE) == 0
    assert_recovers(hub)


OTHER = "f" * 40
HEADERS = {
    "a commit that leads elsewhere": ({"X-Repo-Commit": "../../x"}, ODD),
    "another commit": ({"X-Repo-Commit": OTHER}, "from another commit"),
    "a digest that leads elsewhere": ({"ETag": '"../../../outside"'}, ODD),
    "a digest that is a path": ({"ETag": '"{outside}"'}, ODD),
    "a linked digest that is a path": ({"X-Linked-ETag": "{outside}"}, ODD),
    "an endless digest": ({"ETag": '"' + "e" * 5000 + '"'}, ODD),
    "a negative length": ({"X-Linked-Size": "-1"}, "another size"),
    "an endless length": ({"X-Linked-Size": "1" + "0" * 30}, ""),
}


@pytest.mark.parametrize(("headers", "says"), HEADERS.values(), ids=HEADERS)
def test_headers(
    headers: dict[str, str],
    says: str,
    hub: Hub,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    commit = hub.add("owner/name", weights)
    outside = tmp_path / "outside"
    given = {name: value.format(outside=outside) for name, value in headers.items()}
    head = {"X-Repo-Commit": commit, "ETag": '"abc"'} | given
    hub.when("HEAD", lambda handler: handler.send(b"", 200, head))
    before = set(tmp_path.iterdir())
    assert says in fails().message
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"hub-cache"}
    assert_recovers(hub)


def to(address: str) -> Fault:
    """A redirection; "" leads in a circle."""
    return lambda handler: handler.send(b"", 302, {"Location": address or handler.path})


REST: dict[str, tuple[str, Fault, str]] = {
    "list in a circle": (LIST, to(""), ODD),
    "file in a circle": (FILE, to(""), ODD),
    "list in a file": (LIST, to("file:///etc/passwd"), "127.0.0.1"),
    "list at no address": (LIST, to("http://["), "127.0.0.1"),
    "teapot": (LIST, lambda h: h.send(b"", 418), "the Hub answers 418"),
    "no content": (LIST, lambda h: h.send(b"", 204), ODD),
    "not compressed": (FILE, lambda h: h.send(b"junk", 200, {"Content-Encoding": "gzip"}), ODD),
    "lines": (LIST, lambda h: h.send_json({"error": "one\ntwo\x1b[31m"}, 400), "answers 400"),
    "wait for ever": (LIST, lambda h: h.send(b"", 429, {"Retry-After": "9" * 500}), "busy (429)"),
    "wait in words": (LIST, lambda h: h.send(b"", 503, {"Retry-After": "soon"}), "answers 503"),
}


@pytest.mark.parametrize(("pattern", "fault", "says"), REST.values(), ids=REST)
def test_other_answers(
    pattern: str,
    fault: Fault,
    says: str,
    hub: Hub,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.add("owner/name", weights)
    hub.when(pattern, fault)
    assert says in fails().message
    assert_recovers(hub)


@pytest.mark.parametrize("endpoint", ["junk", "ftp://x", "http://", "http://127.0.0.1:99999"])
def test_endpoints(endpoint: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert "HF_ENDPOINT" in fails().hint
    assert find_cached(REF) is None


@pytest.mark.parametrize("password", ["s3cret", "s3c@ret", "s3c/ret"])
@pytest.mark.parametrize("fault", ["none", "html", "teapot", "gone", "surprise"])
def test_the_password_of_an_endpoint_is_not_repeated(
    fault: str, password: str, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"alice:{password}@127.0.0.1:{hub.port if fault != 'gone' else 1}"
    monkeypatch.setattr(constants, "ENDPOINT", f"http://{address}")
    if fault in ("html", "teapot"):
        hub.when("GET", html if fault == "html" else status(418))
    if fault == "surprise":

        def surprise(*_: object, **__: object) -> None:
            raise RuntimeError(f"no luck with http://{address}/api/models")

        monkeypatch.setattr("huggingface_hub.HfApi.model_info", surprise)
    with pytest.raises(PixelgenError) as caught:
        look_up(REF)
    told = caught.value.message + caught.value.hint + str(caught.value)
    assert "s3c" not in told
    assert "alice" not in told


@pytest.mark.parametrize("token", ["hf_ä€", "hf_a b", "hf_\x1b"])
def test_tokens_of_the_environment(token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PixelgenError, match="HF_TOKEN") as caught:
        look_up(REF)
    assert isinstance(caught.value, UsageError)
    assert token not in caught.value.message + caught.value.hint
    assert hub.requests == []
