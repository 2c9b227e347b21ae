"""What is said about pictures: inside of their files, on stdout and on stderr."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pixelgen._version import __version__
from pixelgen.checkpoints import CheckpointConfig, Source

if TYPE_CHECKING:
    from pixelgen.cli.live_preview import LivePreview
    from pixelgen.pipelines import (
        ClassPipeline,
        CompletePipeline,
        CompletionResult,
        InterpolatePipeline,
        InterpolationResult,
        PortraitPipeline,
        PortraitResult,
        ReconstructPipeline,
        ReconstructResult,
        SampleResult,
    )

    Drawn = SampleResult | PortraitResult | InterpolationResult | CompletionResult
    Pipeline = (
        ClassPipeline
        | PortraitPipeline
        | ReconstructPipeline
        | CompletePipeline
        | InterpolatePipeline
    )


def fingerprint(parts: Iterable[bytes]) -> str:
    """What is said of pixels or codes so that others are told apart: `sha256:` and 16 digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"


def describe(
    source: Source,
    parameters: Mapping[str, Any],
    files: int,
    more: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The text chunks of every file: all that is needed to make it again. There is one file of all
    pictures unless `parameters` say otherwise with "grid"."""
    common = {
        "Software": f"pixelgen {__version__}",
        **(more or {}),
        "weights": source.name,
        "revision": source.revision(),
    }
    number = [{}] if parameters.get("grid", True) else [{"picture": i} for i in range(files)]
    return [common | {"parameters": json.dumps({**parameters, **one})} for one in number]


def synthetic(beside_sources: bool) -> dict[str, str]:
    """The text chunk which says that nobody took a photo of what a file shows."""
    besides = ", save the source photos beside them" if beside_sources else ""
    return {"Synthetic": f"All faces in this picture were drawn by a model{besides}."}


def drawn_facts(
    result: Drawn, pipe: Pipeline, files: Sequence[Path], preview: LivePreview
) -> dict[str, Any]:
    """What `--json` says about drawn pictures, whatever they are of."""
    bits = [round(bits, 4) for bits in result.bits_per_dim]
    return made_facts(result, pipe, files, preview) | {"bits_per_dim": bits}


def made_facts(
    result: Drawn | ReconstructResult, pipe: Pipeline, files: Sequence[Path], preview: LivePreview
) -> dict[str, Any]:
    """What `--json` says about pictures, drawn or not."""
    return {
        "files": [str(file) for file in files],
        "watch": None if preview.watch is None else str(preview.watch),
        "animation": None if preview.animation is None else str(preview.animation),
        "seed": result.seed,
        "weights": pipe.checkpoint.name,
        "revision": pipe.checkpoint.revision,
        "device": str(pipe.device),
        "seconds": round(result.seconds, 3),
        "parameters": result.parameters,
    }


def drawn_line(
    result: SampleResult | PortraitResult | InterpolationResult, config: CheckpointConfig
) -> str:
    """The closing line about pictures, whatever they are of, drawn by weights of `config`."""
    count = len(result.images)
    mean = sum(result.bits_per_dim) / count
    return (
        f"{count} picture{'s' * (count > 1)} in {result.seconds:.1f} s, seed {result.seed}, "
        f"{mean:.2f} {config.likelihood_unit}"
    )


def tell(
    files: Sequence[Path], facts: Mapping[str, Any], line: str, as_json: bool, quiet: bool
) -> None:
    """`facts` on stdout as JSON, or the paths there and a closing `line` on stderr."""
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for file in files:
        typer.echo(str(file))
    if not quiet:
        typer.echo(line, err=True)
