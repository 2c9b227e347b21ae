"""Face embedders: faces as points on a sphere, those of one person near to each other.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData
from pixelgen.metrics.verification import embed, squared_distances, verify
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.models.likelihood import to_signed
from pixelgen.models.precision import full_precision
from pixelgen.random_streams import RandomStream, mix
from pixelgen.training.recipe import Mining, Recipe, TripletsRecipe
from pixelgen.training.sample_sheets import neighbour_sheet
from pixelgen.training.submodels import EMBEDDER, submodel_history
from pixelgen.training.tasks.base import (
    CardText,
    RunContext,
    Task,
    WarmStart,
    check_image_size,
    float_weights,
    shapes,
)
from pixelgen.training.training_data import TrainingData, by_identity


@torch.compiler.disable  # the number of pairs depends on the data
def triplet_loss(
    embeddings: Tensor, people: Tensor, margin: float, mining: Mining = "semi-hard"
) -> Tensor:
    """The triplet loss: over all pairs of one person, the mean excess of their squared distance
    plus `margin` over that to a negative, an image of somebody else, which `mining` selects.

    "semi-hard": the nearest negative that is farther than the pair, or the farthest negative if
    there is none (equation 4). "hard": the nearest negative. "all": all negatives, by the
    log-sum-exp of their excesses and 0 (Sohn, "Improved Deep Metric Learning with Multi-class
    N-pair Loss Objective", 2016, equation 7) at the scale `margin` / 2.

    `embeddings` [B, D] of length 1, `people` int64 [B] → a number; 0 without such pairs.
    """
    distance = squared_distances(embeddings.float())
    same = people[:, None] == people[None]
    pairs = (same & ~torch.eye(len(people), dtype=torch.bool, device=people.device)).nonzero()
    if not len(pairs) or bool(same.all()):
        return embeddings.sum() * 0.0
    anchor, positive = pairs.unbind(1)
    apart = distance[anchor, positive]  # [pairs]
    if mining == "all":
        scale = margin / 2
        others = distance[anchor].masked_fill(same[anchor], torch.inf)
        excess = (apart[:, None] - others + margin) / scale  # [pairs, B]
        return scale * torch.cat((excess, torch.zeros_like(excess[:, :1])), 1).logsumexp(1).mean()
    with torch.no_grad():
        others = distance[anchor].masked_fill(same[anchor], -torch.inf)  # [pairs, B]
        beyond = apart[:, None] if mining == "semi-hard" else others.new_tensor(-1.0)
        farther = others.masked_fill(others <= beyond, torch.inf)
        chosen = torch.where(farther.isfinite().any(1), farther.argmin(1), others.argmax(1))
    return F.relu(apart - distance[anchor, chosen] + margin).mean()


class PeopleClassifier(nn.Module):
    """Which of all people a face shows, by the cosine between its embedding and a vector for every
    person: the large-margin cosine loss.

    Wang et al., "CosFace", 2018 (arXiv 1801.09414), equation 4.
    """

    def __init__(self, people: int, embedding: int, margin: float, scale: float) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale
        # Of length 1, so that the learning rate of the other weights suits them too.
        self.vectors = nn.Parameter(F.normalize(torch.randn(people, embedding), dim=1))

    def forward(self, embeddings: Tensor, people: Tensor) -> Tensor:
        """`embeddings` [B, D] of length 1, `people` int64 [B] → the mean cross-entropy, nats."""
        with full_precision(embeddings.device):
            cosines = embeddings.float() @ F.normalize(self.vectors, dim=1).t()  # [B, people]
            own = F.one_hot(people, len(self.vectors))
            return F.cross_entropy(self.scale * (cosines - self.margin * own), people)


class FaceEmbedderLoss(nn.Module):
    """The weighted losses of a batch.

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: TripletsRecipe,
        classifier: PeopleClassifier | None = None,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.classifier = model, recipe, classifier

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255, `classes` int64 [B]: the people → a number."""
        assert classes is not None  # see `IdentityBatches`
        recipe = self.recipe
        images = erased(recoloured(to_signed(x, 256), recipe.colour), recipe.erase)
        embeddings = self.model(images)
        loss = embeddings.new_zeros((), dtype=torch.float32)
        if recipe.weight:
            triplets = triplet_loss(embeddings, classes, recipe.margin, recipe.mining)
            loss = loss + recipe.weight * triplets
        if self.classifier is not None:
            loss = loss + recipe.people * self.classifier(embeddings, classes)
        return loss


def recoloured(images: Tensor, amount: float) -> Tensor:
    """Images [B, 3, S, S] of -1 … 1 with contrast, brightness and colour balance changed at random
    by up to `amount`: a person does not depend on the light."""
    if not amount:
        return images
    change = torch.rand(3, len(images), 3, 1, 1, device=images.device) * 2 - 1
    contrast = 1 + amount * change[0, :, :1]
    brightness = amount * (change[1, :, :1] + 0.5 * change[2])
    return (images * contrast + brightness).clamp(-1, 1)


def erased(images: Tensor, share: float) -> Tensor:
    """A `share` of the images [B, 3, S, S] with a rectangle of grey (0), a fifth to a half of the
    side each way: a person does not depend on a single feature.

    Zhong et al., "Random Erasing Data Augmentation", 2017 (arXiv 1708.04896).
    """
    if not share:
        return images
    side = images.shape[-1]
    chosen = torch.rand(len(images), 1, device=images.device) < share
    length = (0.2 + 0.3 * torch.rand(2, len(images), 1, device=images.device)) * side
    start = torch.rand(2, len(images), 1, device=images.device) * (side - length)
    places = torch.arange(side, device=images.device) + 0.5
    rows, columns = (places >= start) & (places < start + length)  # [B, S] each
    hidden = rows[:, :, None] & columns[:, None] & chosen[:, :, None]
    return images.masked_fill(hidden[:, None], 0.0)


class FaceEmbedderTask(Task):
    """Face embedders: the triplet loss, a classification of people, verification, and nearest
    neighbours."""

    config_type = FaceEmbedderConfig
    loss = "loss"
    loss_unit = "loss"
    figure = "auc"
    figure_unit = "ROC AUC"
    critic: PeopleClassifier | None = None

    @classmethod
    def card_text(
        cls, recipes: Sequence[Recipe], name: str, size: str, classes: Sequence[int | str]
    ) -> CardText:
        """See `Task`."""
        return CardText(
            summary=f"A face embedder: aligned {size} faces as points on a sphere.",
            sheet="Held-out faces, each followed by those nearest to it",
            usage=f"pixelgen evaluate {name} --data FACES",
        )

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """Images by person. Raises PixelgenError for images of another size or without labels."""
        check_image_size(data, self.recipe, "embedder")
        prepared = by_identity(self.recipe, data)
        triplets = self.recipe.triplets
        if triplets.people:
            assert data.labels is not None  # see `by_identity`
            assert isinstance(self.recipe.model, FaceEmbedderConfig)
            torch.manual_seed(mix(self.recipe.seed, RandomStream.AUXILIARY_WEIGHTS))
            self.critic = PeopleClassifier(
                len(data.labels.unique()),
                self.recipe.model.embedding,
                triplets.people_margin,
                triplets.people_scale,
            )
        return prepared

    def objective(self, model: nn.Module) -> nn.Module:
        """The weighted losses."""
        if self.critic is not None:
            self.critic.to(next(model.parameters()).device)
        return FaceEmbedderLoss(model, self.recipe.triplets, self.critic)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """The area under the ROC curve over all pairs of held-out images, [1]."""
        assert condition is not None  # see `by_identity`
        assert condition.classes is not None
        embeddings = embed(model, images, self.recipe.optimiser.batch)
        return torch.tensor([verify(embeddings, condition.classes).auc], dtype=torch.float64)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Some faces, each followed by those nearest to it."""
        neighbour_sheet(embed(model, held, self.recipe.optimiser.batch), held, path)

    def warm_start(
        self, checkpoint: LoadedCheckpoint, model: nn.Module, data: TrainingData
    ) -> WarmStart:
        """From a face embedder, alone or beside a model; of an ensemble from the first network."""
        network = checkpoint.embedder.first()
        self.check_network(checkpoint, network, model)
        weights = float_weights(network)
        unchanged = shapes(weights) == shapes(model.state_dict())
        return WarmStart(weights, submodel_history(checkpoint.config, EMBEDDER), unchanged)
