"""The model card."""

from __future__ import annotations

import json

from pixelgen.checkpoints import Figure, ModelCard


def test_card() -> None:
    card = ModelCard(
        name="tiny",
        summary="Small pictures.",
        license="other",
        license_name="research: only",
        datasets=("owner/data",),
        figures=(Figure("bits/dim", "3.99", "pixelgen evaluate tiny"),),
        samples=(("Eight classes.", "samples.png"),),
        limits=("Blurred.",),
    )
    _, front, body = str(card).split("---\n", 2)
    fields = {k: json.loads(v) for k, v in (line.split(": ", 1) for line in front.splitlines())}
    assert fields == {
        "license": "other",
        "license_name": "research: only",
        "library_name": "pixelgen",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["pixelcnn", "autoregressive", "image-generation"],
        "datasets": ["owner/data"],
    }
    assert "| bits/dim | 3.99 | `pixelgen evaluate tiny` |" in body
    assert "![Eight classes.](samples.png)" in body
    assert "## Training" not in body
