"""Model cards: those of the bundled weights are what the code makes of their configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelgen.checkpoints import read_config
from pixelgen.publishing.model_card import card_from_config

WEIGHTS = Path(__file__).parents[2] / "weights"


@pytest.mark.parametrize(
    "folder", sorted(p.parent for p in WEIGHTS.glob("*/config.json")), ids=lambda p: p.name
)
def test_bundled_cards(folder: Path) -> None:
    config = read_config(folder, folder.name)
    card = card_from_config(config, folder.name, (folder / "samples.png").is_file())
    assert str(card) == (folder / "README.md").read_text(encoding="utf-8")
