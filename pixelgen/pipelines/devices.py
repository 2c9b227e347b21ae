"""Device names as users give them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from pixelgen.errors import PixelgenError, UsageError

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
_NAME = re.compile(r"auto|cpu|mps(?::0)?|cuda(?::(?P<index>\d{1,3}))?")


def check_device_name(name: str) -> int:
    """The N of cuda:N, else 0. Raises UsageError unless `name` is auto, cpu, cuda, cuda:N, mps or
    mps:0, as tensors call it."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise UsageError(f"no device {name!r}", "auto, cpu, cuda, cuda:N or mps")
    return int(parts["index"] or 0)


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes the first GPU, else Apple's, else the CPU.

    Raises PixelgenError for a device that this machine, or this build of torch, does not have.
    """
    import torch

    index = check_device_name(name)
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if name.startswith("cuda") and index >= cuda:
        seen = f"torch sees {cuda} CUDA devices" if cuda else "torch sees no CUDA device"
        raise _unavailable(f"device {name} is not available: {seen}")
    if name.startswith("mps") and not mps:
        raise _unavailable(f"device {name} is not available here")
    _log.info("device %s, %d threads", name, torch.get_num_threads())
    return torch.device(name)


def _unavailable(message: str) -> PixelgenError:
    return PixelgenError(message, 'device="cpu" always works', code="device-unavailable")
