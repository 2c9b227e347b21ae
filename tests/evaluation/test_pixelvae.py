"""Bounds of a PixelVAE: what they are by hand, and that nothing calls them exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint
from pixelgen.cli.app import app
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.autoencoders import measure_autoencoders
from pixelgen.evaluation.results import Evaluation, EvaluationReport, LatentBound
from pixelgen.metrics.latent_bound import image_bounds
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.publishing.figures import evaluation_figures

NATS = 3 * 8 * 8 * float(np.log(2))


@pytest.fixture(scope="module")
def weights(vae_weights: Path) -> LoadedCheckpoint:
    return load_checkpoint(vae_weights)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    draw = np.random.default_rng(1)
    made = [(draw.integers(0, 30, (8, 8, 3)) + 30 * i).astype(np.uint8) for i in range(7)]
    return write_pictures(tmp_path_factory.mktemp("data"), "validation", made)


def bound_of(found: Evaluation) -> LatentBound:
    assert found.bound is not None
    return found.bound


def test_bounds_by_hand_whatever_the_batches(data: Path, weights: LoadedCheckpoint) -> None:
    vae, images = weights.pixelvae, load_images(data, "validation").images
    generator = torch.Generator().manual_seed(5)
    noise = torch.stack([torch.randn(3, generator=generator) for _ in range(21)])
    x = images.long().repeat_interleave(3, 0)
    with torch.no_grad():
        q = vae.posterior(to_signed(x, 256))
        h = q.at(noise)
        log_prob = vae.log_prob(x, h)
        standard = torch.distributions.Normal(0.0, 1.0)
        own = torch.distributions.Normal(q.mean, (q.log_variance / 2).exp())
        log_weight = log_prob.flatten(1).sum(1).double()
        log_weight += (standard.log_prob(h) - own.log_prob(h)).sum(1).double()
        kl = torch.distributions.kl_divergence(own, standard).sum(1)[::3] / NATS
    expected = (torch.logsumexp(log_weight.view(7, 3), 1) - np.log(3)) / -NATS
    given = bits_per_dim(log_prob.double()).view(7, 3).mean(1)
    for batch in (1, 4, 100):
        found = image_bounds(vae, images, 3, torch.Generator().manual_seed(5), batch)
        torch.testing.assert_close(found.importance_weighted, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.given, given, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.kl.float(), kl, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.elbo, found.given + found.kl)


def test_an_evaluation_and_its_json(data: Path, weights: LoadedCheckpoint) -> None:
    first, second = (
        measure_autoencoders(
            weights,
            data,
            "validation",
            batch=batch,
            importance_samples=4,
            reconstructions=2,
            seed=7,
        )
        for batch in (3, 64)
    )
    bound = bound_of(first)
    assert bound.samples == 4
    assert first.main is None  # no figure stands where exact ones do
    assert first.conditional is first.unconditional is None
    assert bound_of(second).elbo.bits_per_dim == pytest.approx(bound.elbo.bits_per_dim, abs=1e-5)
    report = EvaluationReport("d", "s", first, weights="vae")
    values = json.loads(json.dumps(report.to_dict()))
    assert "bits_per_dim" not in values
    assert values["bound"]["importance_weighted"]["bits_per_dim"] > 0
    assert EvaluationReport.from_dict(values) == report
    figures = evaluation_figures(report, "vae", "bits/dim")
    named = [figure for figure in figures if "upper bound" in figure.what]
    assert len(named) == 2
    drawn = [figure for figure in figures if figure.what.startswith("bits/dim")]
    assert len(drawn) > len(named)
    assert all(figure.command.endswith(" --importance-samples 4 --seed 7") for figure in drawn)


def test_the_command(data: Path, vae_weights: Path, autoencoders: Path) -> None:
    words = ["evaluate", str(vae_weights), "--data", str(data), "--device", "cpu"]
    few = ["--reconstructions", "2"]
    text = CliRunner().invoke(app, [*words, *few, "--importance-samples", "2"])
    assert text.exit_code == 0, text.output
    assert "upper bounds, not exact; 2 draws of h" in text.stdout
    rows = ("importance-weighted bound", "ELBO bound", "of which h (KL)", "given h from the prior")
    assert all(row in text.stdout for row in rows)
    printed = CliRunner().invoke(app, [*words, *few, "--json"])
    told = json.loads(printed.stdout)
    assert told["bound"]["samples"] == 8
    for wrong, says in (
        (["--no-likelihood", "--quality"], "cannot be combined with --no-likelihood"),
        (["--identity"], "has no face embedder"),
        (["--unconditional"], "--unconditional has no effect here"),
    ):
        refused = CliRunner().invoke(app, [*words, "--importance-samples", "2", *wrong])
        assert isinstance(refused.exception, UsageError), refused.output
        assert says in refused.exception.message
    other = ["evaluate", str(autoencoders), "--data", str(data), "--importance-samples", "2"]
    refused = CliRunner().invoke(app, other)
    assert isinstance(refused.exception, PixelgenError)
    assert refused.exception.message == "--importance-samples requires a PixelVAE"
