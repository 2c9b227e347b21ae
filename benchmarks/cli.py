"""How long the command line takes, beside what importing torch alone takes.

    python benchmarks/cli.py [--json] [--repeat N]

Prints the shortest of N runs of each command, in seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time


def drawing(n: int) -> list[str]:
    """The command that draws `n` pictures of a class."""
    return [
        *(sys.executable, "-m", "pixelgen", "sample", "--class", "207", "-n", str(n)),
        *("--seed", "1", "--quiet", "-o", "FOLDER"),
    ]


COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "pixelgen --help": [sys.executable, "-m", "pixelgen", "--help"],
    "pixelgen classes": [sys.executable, "-m", "pixelgen", "classes"],
    "pixelgen sample --class 207 -n 1": drawing(1),
    "pixelgen sample --class 207 -n 64": drawing(64),
}


def seconds(command: list[str]) -> float:
    """Wall-clock time of one run, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        words = [folder if word == "FOLDER" else word for word in command]
        start = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command")
    options = parser.parse_args()
    times = {
        name: min(seconds(command) for _ in range(options.repeat))
        for name, command in COMMANDS.items()
    }
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in times.items()}))
        return
    for name, value in times.items():
        print(f"{value:7.2f} s  {name}")


if __name__ == "__main__":
    main()
