"""Bad days of the stand-in for the Hub, and what must hold after them."""

from __future__ import annotations

import pytest

from pixelgen.checkpoints import resolve_weights
from pixelgen.checkpoints.digests import verify
from pixelgen.checkpoints.hub import cached_weights
from pixelgen.errors import PixelgenError, WeightsError

from .hub_server import Fault, Handler, Hub

FILE = "GET /cdn/"
"""A request for the bytes of a large file."""


def status(code: int, **headers: str) -> Fault:
    """An answer that is an error: `status(429, Retry_After="1")`."""
    return lambda handler: handler.send_json({"error": "a bad day"}, code, **headers)


def html(handler: Handler) -> None:
    """What a hotel's network answers to everything."""
    handler.send(b"<html>Welcome to our hotel</html>", 200, {"Content-Type": "text/html"})


def reset_after(count: int) -> Fault:
    """The connection is reset after `count` bytes of the file."""

    def fault(handler: Handler) -> None:
        data = handler.hub.blobs[handler.route.rsplit("/", 1)[1]]
        handler.send(data, 200, {"ETag": "x"}, cut=count)
        handler.reset()

    return fault


def length_off_by(more: int) -> Fault:
    """The file is announced with another length than it has, then the connection is closed."""

    def fault(handler: Handler) -> None:
        data = handler.hub.blobs[handler.route.rsplit("/", 1)[1]]
        handler.send(data, 200, {"Content-Length": str(len(data) + more)}, cut=len(data) + more)
        handler.close_connection = True

    return fault


def other_bytes(handler: Handler) -> None:
    """A file of the right length and the wrong content."""
    data = handler.hub.blobs[handler.route.rsplit("/", 1)[1]]
    handler.send(bytes(byte ^ 1 for byte in data), 200)


def trickle(handler: Handler, parts: int = 20, pause: float = 0.1) -> None:
    """A file in small parts, with a pause after each."""
    data = handler.hub.blobs[handler.route.rsplit("/", 1)[1]]
    handler.send(data, 200, cut=0)
    step = -(-len(data) // parts)
    for first in range(0, len(data), step):
        handler.wfile.write(data[first : first + step])
        handler.wfile.flush()
        handler.hub.sending.set()
        if handler.hub.closing.wait(pause):
            return


def silence(handler: Handler) -> None:
    """No answer at all."""
    handler.hub.closing.wait(30)
    handler.close_connection = True


def fails(ref: str = "owner/name") -> PixelgenError:
    """The error of a pull that fails, checked for what every such error has."""
    with pytest.raises(PixelgenError) as caught:
        resolve_weights(ref)
    assert isinstance(caught.value, WeightsError)
    assert caught.value.message.startswith(f"weights {ref}: ")
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def assert_sound() -> None:
    """What the cache calls complete is whole, and no branch leads to anything else."""
    for found in cached_weights():
        assert found.complete or not found.refs
        states = {check.state for check in verify(found.source)}
        assert states <= ({"ok"} if found.complete else {"ok", "missing"})


def assert_recovers(hub: Hub) -> None:
    """On the next good day all is well."""
    assert_sound()
    hub.rules.clear()
    source = resolve_weights("owner/name")
    assert {check.state for check in verify(source)} == {"ok"}
    assert_sound()
