"""What is freed is kept, where the C library can do that; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from pixelgen.cli.memory import keep_freed_memory

PROGRAM = """
import resource
from pixelgen.cli.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
for _ in range(10):
    b"x" * 2**26
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""

LIBRARY, VERSION = platform.libc_ver()
LARGE = LIBRARY == "glibc" and tuple(map(int, VERSION.split("."))) >= (2, 36)


@pytest.mark.skipif(not LARGE, reason="of a glibc that lets the limit be so high")
def test_large_blocks_are_filled_with_pages_once() -> None:
    faults = [
        int(subprocess.check_output([sys.executable, "-c", PROGRAM.format(keep=keep)]))
        for keep in (False, True)
    ]
    assert faults[1] < faults[0] / 2


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_other_systems(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed_memory()
