"""Lists of files on the Hub that no Hub has, as commands meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..hub_server import Handler, Hub
from .sandbox import Sandbox

NAMES = (
    *(
        "../../x",
        "../config.json",
        "/etc/passwd",
        "a/../../b",
        "config.json/../../x",
        "config.json\0",
    ),
    *("C:\\x", "\\\\host\\x", "..\\..\\x", "~/x", "\x1b[2J", "\n", "💥", "a" * 5000, "", ".", ".."),
    *("model.safetensors/x", "autoencoder-../x.safetensors", "autoencoder-*.safetensors", "\u202e"),
)


@pytest.mark.parametrize(
    "words", [("weights", "pull"), ("weights", "show"), ("sample", "--weights")], ids=" ".join
)
def test_names_of_files(
    words: tuple[str, ...], box: Sandbox, hub: Hub, weights: Path, tmp_path: Path
) -> None:
    hub.add("owner/name", weights)
    for name in NAMES:

        def lists(handler: Handler, name: str = name) -> None:
            said = handler.description("owner/name")
            said["siblings"] = [*said["siblings"], {**said["siblings"][0], "rfilename": name}]
            if len(name) % 2:  # all of them, or one more
                said["siblings"] = [{**row, "rfilename": name} for row in said["siblings"]]
            handler.send(json.dumps(said).encode(), 200, {"Content-Type": "application/json"})

        hub.when("GET /api", lists)
        box.attempt(*words, "owner/name", codes=(0, 2, 4))
    assert {path.name for path in tmp_path.iterdir()} <= {"hub-cache"}
