"""Training speed of a recipe, beside what this machine does in plain matrix products.

    python benchmarks/training.py recipes/imagenet32.toml [--json] [--set compute.compile=true]

For fp32 and bf16: pictures per second of whole training steps on random pictures, the network's
GFLOP/s (forward and backward pass, masked weights counted like others), and its share of that
of a large matrix product of the same precision.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from timing import synchronise

from pixelgen.models import GatedPixelCNNConfig, PixelCNNConfig, build_model
from pixelgen.models.precision import autocast
from pixelgen.pipelines.devices import pick_device
from pixelgen.training.optimiser import averaged, build_optimiser
from pixelgen.training.recipe import Recipe, load_recipe
from pixelgen.training.tasks.likelihood import BitsPerDimLoss
from pixelgen.training.throughput import training_flops

SIDE = 2048


def rate(step: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Calls per second of `step`, after two calls that are not counted."""
    for _ in range(2):
        step()
    synchronise(device)
    start, calls = time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - start < seconds:
        step()
        synchronise(device)
        calls += 1
    return calls / (time.perf_counter() - start)


def product_gflops(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    """GFLOP/s of SIDE×SIDE matrix products."""
    a, b = (torch.randn(SIDE, SIDE, device=device, dtype=dtype) for _ in range(2))
    return rate(lambda: a @ b, device, seconds) * 2 * SIDE**3 / 1e9


def training_rate(
    recipe: Recipe, precision: str, device: torch.device, seconds: float
) -> tuple[float, float]:
    """Pictures per second, and floating-point operations per picture."""
    config, batch = recipe.model, recipe.optimiser.batch
    if not isinstance(config, GatedPixelCNNConfig | PixelCNNConfig):
        raise typer.BadParameter(f"only models of a grid are measured, not {config.model!r}")
    model: torch.nn.Module = build_model(config).to(device)
    if recipe.compute.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (batch, config.channels, config.height, config.width)
    x = torch.randint(config.levels, shape, device=device)
    classes = torch.randint(config.classes, (batch,), device=device) if config.classes else None
    objective: Any = BitsPerDimLoss(model)
    flops = training_flops(objective, x[:1], None if classes is None else classes[:1])
    optimiser, ema = build_optimiser(model, recipe.optimiser), averaged(model, 0.999)
    if recipe.compute.compile:
        objective = torch.compile(objective, dynamic=False)

    def step() -> None:
        with autocast(device, precision):
            loss = objective(x, classes)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        ema.update_parameters(model)

    return rate(step, device, seconds) * batch, flops


def main(
    recipe: Path,
    overrides: Annotated[list[str] | None, typer.Option("--set")] = None,
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 10.0,
    device: str = "auto",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Measure fp32 and bf16 side by side."""
    parsed, place = load_recipe(recipe, overrides or []), pick_device(device)
    results: dict[str, dict[str, float]] = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        product = product_gflops(place, dtype, seconds / 4)
        pictures, flops = training_rate(parsed, precision, place, seconds)
        results[precision] = {
            "images_per_second": pictures,
            "gflops": pictures * flops / 1e9,
            "matrix_product_gflops": product,
            "share": pictures * flops / 1e9 / product,
        }
    if as_json:
        facts = {
            "recipe": str(recipe),
            "batch": parsed.optimiser.batch,
            "device": str(place),
            "threads": torch.get_num_threads(),
            "gflops_per_image": flops / 1e9,
        }
        print(json.dumps({**facts, **results}, indent=2))
        return
    print(f"{recipe}, batches of {parsed.optimiser.batch}, {flops / 1e9:.2f} GFLOP per picture")
    print(f"{'':5} {'pictures/s':>10} {'GFLOP/s':>9} {'product GFLOP/s':>16} {'share':>6}")
    for precision, r in results.items():
        print(
            f"{precision:5} {r['images_per_second']:10.1f} {r['gflops']:9.1f} "
            f"{r['matrix_product_gflops']:16.1f} {r['share']:6.0%}"
        )


if __name__ == "__main__":
    typer.run(main)
