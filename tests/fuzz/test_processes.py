"""What only a process of its own can show: streams that are closed or full, and a hard limit on
memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .sandbox import TALLY, Sandbox


def pixelgen(box: Sandbox, line: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of the shell in which `$P` is `pixelgen`, with at most 2 GB for data."""
    TALLY.inputs += 1
    env = {**os.environ, **box.environment, "P": f"{sys.executable} -m pixelgen"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        ["sh", "-c", f"ulimit -d {2 << 20}; {line}"],
        capture_output=True,
        text=True,
        cwd=box.here,
        env=env,
        timeout=600,
    )


LINES = {
    "$P classes lion > /dev/full": (1, "No space left"),
    "$P classes lion >&-": (0, ""),
    "$P classes lion --json | true": (None, ""),
    "$P nothing 2>&-": (2, ""),
    "$P classes \"$(printf 'a\\377\\033[31m')\"": (1, "no class matches"),
    "$P sample --weights ../in/tiny --class 8 -o - > /dev/full": (1, "No space left"),
    "printf '%s' '[' | $P batch - -o out": (2, "not JSON"),
    "$P score ../in/broken/bomb.png --weights ../in/pixels": (3, "pixels"),
}


@pytest.mark.parametrize("line", LINES)
def test_streams(line: str, box: Sandbox) -> None:
    from .pictures import broken

    code, says = LINES[line]
    bomb = box.inputs / "broken" / "bomb.png"
    bomb.write_bytes(dict(broken())["bomb.png"] if "bomb" in line else b"")
    done = pixelgen(box, line)
    bomb.unlink()
    if code is not None:
        assert done.returncode == code, done.stderr
        assert done.stderr.count("error:") == (code != 0 and "2>&-" not in line)
    assert says in done.stderr
    for word in ("Traceback", "Exception ignored", "unexpected", "\x1b"):
        assert word not in done.stderr + done.stdout
