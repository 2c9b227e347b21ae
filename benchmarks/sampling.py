"""Seconds per picture: naive sampling, incremental sampling, and one full forward pass.

    python benchmarks/sampling.py [--json] [--config paper32|WEIGHTS] [--batch 1 --batch 16 ...]

`ratio_to_forward` is the time in which the incremental sampler draws a batch, divided by the time
of one full pass of the network over that batch. Passes are timed before and after the sampling, so
that both meet the same machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from timing import synchronise

from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.autoregressive import AutoregressiveModel
from pixelgen.sampling import SamplingOptions, draw_uniforms, sample
from pixelgen.sampling.naive import sample_naive
from pixelgen.sampling.state import build_request

PAPER32 = GatedPixelCNNConfig(
    channels=3, height=32, width=32, levels=256, features=120, layers=14, kernel=5,
    channel_order="groups", likelihood="softmax", output_features=258,
)  # fmt: skip
"""The paper's network at 32×32: 15 layers (the first one and 14 more), 120 feature maps."""


def load(config: str, device: str) -> AutoregressiveModel:
    """The network to time: the reference with random weights, or a checkpoint."""
    if config == "paper32":
        torch.manual_seed(0)
        return build_model(PAPER32).eval().to(device)
    from pixelgen.checkpoints import load_checkpoint

    return load_checkpoint(config, device).model


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call, which computes on `device`."""
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def measure(
    model: AutoregressiveModel, batch: int, naive_steps: int, passes: int
) -> dict[str, float]:
    """All figures of one batch size."""
    config = model.config
    device = next(model.parameters()).device
    values = config.channels * config.height * config.width
    generator = torch.Generator().manual_seed(batch)
    uniforms = draw_uniforms(generator, batch, config)
    shape = (batch, config.channels, config.height, config.width)
    pictures = torch.randint(config.levels, shape, generator=generator).to(device)

    def forward() -> float:
        return seconds(lambda: model(pictures), device)

    with torch.inference_mode():
        forward()  # allocations and first-call set-up
        times = [forward() for _ in range(passes)]
        request = build_request(model, None, uniforms, SamplingOptions())
        naive = seconds(lambda: sample_naive(request, naive_steps), device) * values / naive_steps
        incremental = seconds(lambda: sample(model, None, uniforms), device)
        times += [forward() for _ in range(passes)]
    full = statistics.median(times)
    return {
        "batch": batch,
        "naive_seconds_per_image": naive / batch,
        "naive_steps_timed": naive_steps,
        "incremental_seconds_per_image": incremental / batch,
        "incremental_seconds": incremental,
        "forward_seconds": full,
        "ratio_to_forward": incremental / full,
        "naive_to_incremental": naive / incremental,
    }


def main() -> int:
    """Prints a table or JSON."""
    parser = argparse.ArgumentParser(description="Time the samplers against one full pass.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--config", default="paper32", help="paper32, or weights (name or path)")
    parser.add_argument("--batch", type=int, action="append", help="batch size (may be repeated)")
    parser.add_argument("--naive-steps", type=int, default=2, help="values timed naively")
    parser.add_argument("--passes", type=int, default=2, help="full passes timed before and after")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load(arguments.config, arguments.device)
    about = {
        "config": arguments.config,
        "device": arguments.device,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if not arguments.json:
        print(*(f"{key} {value}" for key, value in about.items()), sep=", ")
        print("seconds per image; naive extrapolated from", arguments.naive_steps, "of its steps")
        columns = ("naive", "incremental", "forward", "ratio_to_forward")
        print("batch {:>10} {:>12} {:>9} {:>17}".format(*columns))
    results = []
    for batch in arguments.batch or (1, 16, 64):
        result = measure(model, batch, arguments.naive_steps, arguments.passes)
        results.append(result)
        if not arguments.json:
            print(
                f"{batch:5d} {result['naive_seconds_per_image']:10.2f}"
                f" {result['incremental_seconds_per_image']:12.4f}"
                f" {result['forward_seconds'] / batch:9.4f} {result['ratio_to_forward']:17.2f}",
                flush=True,
            )
    if arguments.json:
        print(json.dumps({**about, "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
