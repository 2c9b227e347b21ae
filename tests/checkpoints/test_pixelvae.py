"""A PixelVAE on disk: saved and loaded like other networks, and alone in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.models.pixelvae import PixelVAE


def test_there_and_back(vae_weights: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(vae_weights)
    assert (loaded.config.kind, loaded.config.has_prior) == ("pixelvae", True)
    loaded.pixelvae.save_pretrained(tmp_path / "copy")
    again = PixelVAE.from_pretrained(tmp_path / "copy")
    assert again.config == loaded.pixelvae.config
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    for one, other in zip(loaded.pixelvae.posterior(images), again.posterior(images), strict=True):
        assert torch.equal(one, other)


def test_it_shares_its_folder_with_no_other(
    vae_weights: Path, autoencoders: Path, tmp_path: Path
) -> None:
    vae, auto = load_checkpoint(vae_weights), load_checkpoint(autoencoders)
    with pytest.raises(ValueError, match="a PixelVAE cannot have auto-encoders beside it"):
        save_checkpoint(tmp_path / "w", vae.pixelvae, others=auto.others)
    with pytest.raises(UsageError, match="auto is an autoencoder, not a PixelVAE"):
        _ = auto.pixelvae


def test_another_kind_is_refused(vae_weights: Path, tmp_path: Path) -> None:
    for file in vae_weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "kind": "autoencoder"}))
    with pytest.raises(PixelgenError, match='"kind" must be "pixelvae"'):
        load_checkpoint(tmp_path)
