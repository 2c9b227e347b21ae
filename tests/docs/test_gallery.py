"""The gallery is what its commands draw, with the weights that are bundled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gallery
import pytest
import torch
from PIL import Image

from pixelgen.checkpoints import Source, bundled, read_config, save_checkpoint
from pixelgen.imaging import picture_text, png_text
from pixelgen.models import FaceEmbedderConfig, GatedPixelCNNConfig, TokenizerConfig, build_model

from ..conftest import LIVELY
from .conftest import DOCS


@pytest.fixture
def small_weights(tmp_path: Path, autoencoders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in the place of the bundled ones, that know the same classes."""
    torch.manual_seed(0)
    made = {}
    for name, folder in bundled().items():
        config = read_config(folder, name)
        if config.bottlenecks:
            made[name] = autoencoders
            continue
        classes = {"classes": len(config.labels), **LIVELY}
        if getattr(config.model, "vector_components", 0):
            classes |= {"vector": 4, "vector_components": 1}
        codec = embedder = None
        if config.embedder is not None:
            classes["vector"] = 4
            small: dict[str, Any] = {
                "deep_features": 8,
                "wide_blocks": 1,
                "deep_blocks": 1,
                "place_features": 4,
            }
            embedder = build_model(
                FaceEmbedderConfig(size=16, patch=2, wide_features=8, embedding=4, **small)
            )
        if config.tokenizer is None:
            model = build_model(GatedPixelCNNConfig(height=8, width=8, patch=2, **classes))
        else:
            sizes = {"wide_features": 8, "deep_features": 8, "wide_blocks": 1, "deep_blocks": 1}
            codes = {"code_size": 4, "code_channels": 2, "levels": 5}
            codec = build_model(
                TokenizerConfig(size=16, patch=2, output_features=4, **sizes, **codes)
            )
            model = build_model(
                GatedPixelCNNConfig(channels=2, height=4, width=4, levels=5, **classes)
            )
        made[name] = save_checkpoint(
            tmp_path / "weights" / name,
            model,
            tokenizer=codec,
            embedder=embedder,
            labels=config.labels,
        )
    monkeypatch.setattr("pixelgen.checkpoints.source.bundled", lambda: made)


@pytest.fixture
def kept() -> Path:
    """The folder of the pictures in the repository."""
    return DOCS / "gallery"


@pytest.mark.usefixtures("small_weights")
def test_commands_draw_the_pictures(tmp_path: Path) -> None:
    before = Path.cwd()
    gallery.main(tmp_path / "made")
    assert Path.cwd() == before
    pictures = {path.name for path in (tmp_path / "made" / "gallery").iterdir()}
    assert pictures == {shot.picture for shot in gallery.SHOTS}
    page = (tmp_path / "made" / "gallery.md").read_text("utf-8")
    assert "bits/dim" in page


def test_a_command_that_fails_is_told() -> None:
    shot = gallery.Shot("x", "sample --weights nowhere/at-all/here", "x.png", "")
    with pytest.raises(RuntimeError, match="exit code"):
        gallery.draw(shot)


def test_the_page_has_the_commands_and_their_pictures(kept: Path) -> None:
    page = (DOCS / "gallery.md").read_text("utf-8")
    for shot in gallery.SHOTS:
        assert f"pixelgen {shot.words}\n" in page
        assert f"](gallery/{shot.picture})" in page
        assert shot.text in page
    assert {path.name for path in kept.iterdir()} == {shot.picture for shot in gallery.SHOTS}


def test_pictures_are_of_the_bundled_weights_and_small(kept: Path) -> None:
    revisions = {name: Source(path, name).revision() for name, path in bundled().items()}
    size = 0
    for path in kept.iterdir():
        text = picture_text(path) if path.suffix == ".webp" else png_text(path)
        again = "`python docs/gallery.py` draws it again"
        assert text["revision"] == revisions[text["weights"]], f"{path.name}: {again}"
        with Image.open(path) as image:
            assert min(image.size) >= 32
        size += path.stat().st_size
    assert size < 1.5e6
