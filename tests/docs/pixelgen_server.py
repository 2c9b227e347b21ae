"""Runs `pixelgen` commands of a shell script without starting Python for each.

    python -m tests.docs.pixelgen_server SOCKET WEIGHTS

The server is ready when `SOCKET` is there; `WEIGHTS` is a folder of weights that take the place of
the bundled ones. A client sends its working folder, its arguments and its standard streams; a
forked child runs the command with them and answers with the exit code. The arguments `-c FILE` run
Python.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from pathlib import Path

# A program that is `pixelgen` for the shell, and starts in milliseconds.
CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    words = json.dumps([os.getcwd(), sys.argv[1:]]).encode()
    socket.send_fds(server, [words], [0, 1, 2])
    sys.exit(int(server.recv(16) or 1))
"""


def serve(path: str, weights: Path) -> None:
    """Answer clients until this process or the one that started it is ended."""
    parent = os.getppid()
    import torch

    import pixelgen.checkpoints.source
    from pixelgen.cli.app import COMMANDS, main

    pixelgen.checkpoints.source.weights_root = lambda: weights
    for name in COMMANDS:
        importlib.import_module(f"pixelgen.cli.{name}")
    torch.set_num_threads(1)
    with contextlib.suppress(SystemExit), tempfile.TemporaryDirectory() as folder:
        main(["sample", "-q", "-o", folder])  # imports what the children need
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
        server.settimeout(2)
        while os.getppid() == parent:
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            with client:
                words, streams, *_ = socket.recv_fds(client, 65536, 3)
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    client.send(str(_run(words, streams)).encode())
                    os._exit(0)
                for stream in streams:
                    os.close(stream)


def _run(words: bytes, streams: list[int]) -> int:
    """The exit code of a command that uses the streams of the client."""
    from pixelgen.cli.app import main

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    folder, arguments = json.loads(words)
    os.chdir(folder)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    code: object = 0
    try:
        if arguments[:1] == ["-c"]:
            runpy.run_path(arguments[1], run_name="__main__")
        else:
            main(arguments)
    except SystemExit as ended:
        code = ended.code
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
