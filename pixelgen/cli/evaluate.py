"""`pixelgen evaluate`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pixelgen.evaluation.bits import Bits


def evaluate(
    weights: Annotated[
        str, typer.Argument(help="A name, a folder, or a Hub owner/name.", show_default=False)
    ],
    data: Annotated[
        str, typer.Option(help="A folder, or a Hub data set owner/name.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="The split to measure on.")] = "validation",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many rows, spread evenly over the split.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 64,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Measure without classes only.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Exact bits per dimension of weights over every row of a split, with its standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from pixelgen.checkpoints import load_checkpoint
    from pixelgen.evaluation.bits import evaluate as measure
    from pixelgen.pipelines.devices import pick_device

    start = time.perf_counter()
    loaded = load_checkpoint(weights, pick_device(device))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        result = measure(
            loaded,
            data,
            split,
            limit=limit,
            batch=batch_size,
            unconditional=unconditional,
            progress=show,
        )
    if as_json:
        values = {
            "weights": loaded.name,
            "revision": loaded.revision,
            "data": data,
            "split": split,
            **asdict(result),
            **({} if result.main is None else asdict(result.main)),
            "seconds": round(time.perf_counter() - start, 1),
        }
        typer.echo(json.dumps(values, indent=2))
        return
    typer.echo(f"{loaded.name} on {result.images} pictures of {data} ({split})")
    for name in ("conditional", "unconditional"):
        figure: Bits | None = getattr(result, name)
        if figure is not None:
            error = "" if figure.standard_error is None else f" ± {figure.standard_error:.4f}"
            unit = "bits/dim" if result.reconstruction is None else "bits/code"
            typer.echo(f"{name:>13}  {figure.bits_per_dim:.4f}{error} {unit}")
    if (near := result.reconstruction) is not None:
        apart = "" if near.perceptual is None else f", perceptual distance {near.perceptual:.4f}"
        typer.echo(f"{'reconstructed':>13}  {near.psnr:.2f} dB PSNR, {near.ssim:.4f} SSIM{apart}")
