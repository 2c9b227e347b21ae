"""Vectors of classes: what is drawn follows the density, and is the same however it is split."""

from __future__ import annotations

import torch

from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition


def mixture() -> ClassPrior:
    """Two classes, three Gaussians each, in the plane."""
    model = ClassPrior(2, 3, 2)
    generator = torch.Generator().manual_seed(0)
    model.log_shares = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]).log()
    model.means = 2 * torch.randn(2, 3, 2, generator=generator)
    model.scale = torch.tensor([[0.7, 0.0], [0.4, 0.5]])
    return model


def test_the_density_of_every_class_sums_to_one() -> None:
    model, step = mixture(), 0.05
    line = torch.arange(-9, 9, step)
    points = torch.cartesian_prod(line, line)
    for label in range(2):
        log_prob = model.log_prob(points, torch.full((len(points),), label))
        torch.testing.assert_close(float(log_prob.exp().sum()) * step**2, 1.0, atol=1e-4, rtol=0)


def test_log_prob_is_that_of_torch_distributions() -> None:
    model = mixture()
    h = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    for label in range(2):
        known = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(logits=model.log_shares[label]),
            torch.distributions.MultivariateNormal(model.means[label], scale_tril=model.scale),
        )
        found = model.log_prob(h, torch.full((20,), label))
        torch.testing.assert_close(found, known.log_prob(h))


def test_what_is_drawn_follows_the_density() -> None:
    model, count = mixture(), 4000
    classes = torch.ones(count, dtype=torch.int64)
    drawn = model.draw(classes, torch.Generator().manual_seed(2))
    share = model.log_shares[1].exp()
    mean = share @ model.means[1]
    apart = model.means[1] - mean
    covariance = model.scale @ model.scale.t() + (apart * share[:, None]).t() @ apart
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.12, rtol=0)
    torch.testing.assert_close(drawn.t().cov(), covariance, atol=0.25, rtol=0)
    # Entropy and mean log-density agree where, and only where, the two distributions are one.
    other = model.draw(classes, torch.Generator().manual_seed(3), temperature=0.25)
    narrow = (other[:, None] - model.means[1]).norm(dim=2).amin(1).mean()
    assert float(narrow) < 0.6 * float((drawn[:, None] - model.means[1]).norm(dim=2).amin(1).mean())


def test_a_vector_does_not_depend_on_how_many_are_drawn() -> None:
    model = mixture()
    classes = torch.tensor([0, 1, 1, 0, 1])
    whole = model.draw(classes, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    parts = [model.draw(part, generator) for part in classes.split(2)]
    assert torch.equal(torch.cat(parts), whole)


def test_the_model_reads_the_class_alone_or_the_vector_too() -> None:
    torch.manual_seed(0)
    config = GatedPixelCNNConfig(
        height=3, width=3, levels=4, features=6, layers=1, output_features=6,
        classes=2, vector=2, vector_components=3, map_channels=2,
    )  # fmt: skip
    model = build_model(config)
    assert model.class_prior is not None
    assert {name for name, _ in model.named_buffers() if "class_prior" in name} == {
        f"class_prior.{name}" for name in ("log_shares", "means", "scale")
    }
    x, classes = torch.randint(4, (2, 3, 3, 3)), torch.tensor([0, 1])
    alone = model.log_prob(x, Condition(classes))
    null = model.get_parameter("null_vector").expand(2, -1)
    assert torch.equal(alone, model.log_prob(x, Condition(classes, null)))
    assert not torch.equal(alone, model.log_prob(x, Condition(classes, torch.ones(2, 2))))
