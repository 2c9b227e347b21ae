"""The scripts in docs/ are run from there; the tests import them as they import each other."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))


def write_stand_ins(folder: Path, side: int | None = None) -> Path:
    """Untrained, tiny networks in the place of the bundled weights, in `folder`: a sub-folder each,
    of the same kind, with the same classes and sheet of samples. Their pictures have the same
    sizes, or `side`."""
    import torch

    from pixelgen.checkpoints import bundled, read_config, save_checkpoint
    from pixelgen.models import (
        AutoencoderConfig,
        FaceEmbedderConfig,
        GatedPixelCNNConfig,
        TokenizerConfig,
        build_model,
    )

    from ..conftest import LIVELY

    torch.manual_seed(0)
    blocks: dict[str, Any] = {
        "wide_features": 8,
        "deep_features": 8,
        "wide_blocks": 1,
        "deep_blocks": 1,
    }
    codes: dict[str, Any] = {"levels": 8, "code_size": 4, "code_channels": 3}
    for name, source in bundled().items():
        config = read_config(source, name)
        size = side or config.image_shape[1]
        patch = size // 8
        condition: dict[str, Any] = {"classes": len(config.labels), **LIVELY}
        if getattr(config.model, "vector_components", 0):
            features = config.model.vector_features
            condition |= {"vector": 4, "vector_components": 1, "vector_features": features}
        grid: dict[str, Any] = {"channels": 3, "height": 4, "width": 4, "levels": 8}
        codec = embedder = None
        others: list[Any] = []
        if config.embedder is not None:
            condition["vector"] = 4
            faces = FaceEmbedderConfig(
                size=size, patch=patch, place_features=4, embedding=4, **blocks
            )
            embedder = build_model(faces)
        codec_config = TokenizerConfig(size=size, patch=patch, output_features=4, **blocks, **codes)
        if config.bottlenecks:
            pixels = {**LIVELY, "patch": patch, "likelihood": "logistic", "map_channels": 2}
            auto = {**blocks, "size": size, "patch": patch, "place_features": 4, "pixels": pixels}
            model: Any
            model, *others = [
                build_model(AutoencoderConfig.from_dict({**auto, "bottleneck": bottleneck}))
                for bottleneck in config.bottlenecks
            ]
        elif config.tokenizer is not None:
            codec = build_model(codec_config)
            model = build_model(GatedPixelCNNConfig(**grid, **condition))
        elif isinstance(config.model, TokenizerConfig):
            model = build_model(codec_config)
        else:
            grid = {"height": size, "width": size, "patch": patch, "likelihood": "logistic"}
            model = build_model(GatedPixelCNNConfig(**grid, **condition))
        made = save_checkpoint(
            folder / name, model, tokenizer=codec, embedder=embedder, others=others,
            labels=config.labels,
        )  # fmt: skip
        shutil.copy(source / "samples.png", made)
    return folder
