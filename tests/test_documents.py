"""The Python in README.md and docs/ runs as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .hub_server import TOKEN, Hub

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "tests" / "assets"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> list[str]:
    """The Python of a document, each block on the lines where it stands."""
    text = (ROOT / document).read_text("utf-8")
    return ["\n" * text[: found.start(1)].count("\n") + found[1] for found in _BLOCK.finditer(text)]


@pytest.fixture(autouse=True)
def _here(
    tmp_path: Path,
    face_weights: Path,
    autoencoders: Path,
    code_weights: Path,
    weights: Path,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder with the photos and the weights that the documents name, and a stand-in for the Hub
    that has some too; imagenet32 is bundled."""
    hub.repos["owner/name"].refs["v1"] = hub.add("owner/name", weights)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    for name, asset in (("photo", "male-12"), ("other", "female-6")):
        shutil.copy(ASSETS / f"{asset}.jpg", f"{name}.jpg")
    for name, folder in (
        ("my-faces", face_weights),
        ("my-autoencoder", autoencoders),
        ("my-tokenizer", code_weights),
        ("my-weights", weights),
    ):
        shutil.copytree(folder, name)


@pytest.mark.parametrize("document", ["docs/walkthrough.md", "README.md"])
def test_blocks_run_in_order(document: str) -> None:
    found = blocks(document)
    assert found
    names: dict[str, object] = {"__name__": "__main__"}
    for block in found:
        exec(compile(block, str(ROOT / document), "exec"), names)
