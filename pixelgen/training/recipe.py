"""Recipes: one TOML file says everything that makes a model. No torch here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pixelgen.errors import UsageError
from pixelgen.models.config import (
    CONFIGS,
    AnyConfig,
    AutoencoderConfig,
    FaceEmbedderConfig,
    GatedPixelCNNConfig,
    GridConfig,
    TokenizerConfig,
    config_from_dict,
)
from pixelgen.models.config_base import require
from pixelgen.sampling import SamplingOptions
from pixelgen.training.recipe_tables import (
    checked,
    override,
    read_table,
    section,
    table_lines,
    toml_value,
)


@dataclass(frozen=True)
class DataRecipe:
    """`[data]`: the pictures, and what is done to them."""

    path: str = ""
    """A folder, or a Hub data set `owner/name`."""
    label: str = "label"
    """The column of class labels, or for a face embedder that of the people."""
    split: str = "train"
    """The split to train on."""
    size: int = 0
    """Average pictures down to size×size by a whole factor (0: as they are)."""
    crop: int = 0
    """Cut the middle crop×crop out of them (0: take them whole)."""
    jitter: int = 0
    """Move that cut by up to so many pixels each way, mirrored where it leaves the picture."""
    flip: bool = True
    """Mirror half of the pictures."""
    class_dropout: float = 0.1
    """Share of pictures shown without their class or vector, which makes guidance possible; for an
    auto-encoder without their h."""
    tokenizer: str = ""
    """Weights of a tokenizer (name, folder or Hub id): the network models its codes."""
    embedder: str = ""
    """Weights of a face embedder: the network is conditioned on its embeddings of faces, and
    `label` is the column of the people."""
    other_photo: float = 0.8
    """With an embedder: share of the pictures that are shown with the embedding of another photo of
    the same person, so that the network learns the person and not the photo."""
    vector_noise: float = 0.02
    """Standard deviation of what is added to each number of a condition vector."""
    vector_dropout: float = 0.15
    """With model.vector_components: share of the pictures shown with their class alone, beside
    those of `class_dropout`, so that p(picture | class) is learned too."""
    vectors: str = ""
    """Weights (name, folder or Hub id) with model.vector_features, as which to make vectors and
    whose p(h | class) to take; nothing: both are fitted to the pictures. A run that begins with
    weights of such a model should name them here too."""
    features_scale: int = 2
    """With model.vector_components: the classifier whose features of a picture become its condition
    vector sees it this many times larger; so does the one that teaches model.semantic."""
    views: int = 2
    """With a tokenizer: encode each picture so many times. Every second view is mirrored if `flip`
    says so, and those after the first two (without `flip` the first one) are moved by `jitter`.
    0: encode pictures each time that they are drawn, mirrored and moved anew as `flip` and `jitter`
    say: a little slower, and best for long runs, which would learn a few forms by heart."""
    holdout: int = 2000
    """Pictures of the split, drawn by the seed, that are never trained on: the running figure."""

    def __post_init__(self) -> None:
        for name in ("size", "crop", "jitter"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(self.views >= 0, "views must not be negative")
        require(self.holdout >= 0, "holdout must not be negative")
        for name in ("class_dropout", "other_photo", "vector_dropout"):
            require(0 <= getattr(self, name) <= 1, f"{name} must lie in 0 … 1")
        require(self.vector_noise >= 0, "vector_noise must not be negative")
        require(self.features_scale >= 1, "features_scale must be at least 1")


@dataclass(frozen=True)
class LossesRecipe:
    """`[losses]`: what makes a reconstruction a good one. For a tokenizer only."""

    pixel: Literal["l1", "l2", "charbonnier"] = "l1"
    """Difference of two values in -1 … 1: its size, its square, or a smooth form of its size."""
    pixel_weight: float = 1.0
    """Of the mean difference of values."""
    perceptual: float = 0.2
    """Weight of the perceptual distance (0: none)."""
    perceptual_share: float = 0.25
    """Share of a batch for which the perceptual distance is computed."""
    perceptual_scale: int = 1
    """The classifier behind it sees pictures this many times larger."""
    classifier: float = 0.0
    """Weight of how far what that classifier says of a reconstruction lies from what it says of the
    picture (Kullback-Leibler, in nats). Above 0 its last features are compared too, in the
    perceptual distance."""
    adversarial: float = 0.0
    """Weight of deceiving a discriminator that learns beside the tokenizer (0: there is none). It
    reads the features of the perceptual distance."""
    critic: Literal["hinge", "paired"] = "hinge"
    """What that discriminator learns: to mark pictures above 1 and reconstructions below -1, or
    each picture above its own reconstruction."""
    critic_smoothness: float = 0.0
    """Weight of how much its marks change when a little noise is added to what it reads, which
    keeps its gradients small."""
    decoder_only: bool = False
    """Leave the encoder as `--init` gave it: codes made before keep their meaning."""

    def __post_init__(self) -> None:
        require(self.pixel_weight >= 0, "pixel_weight must not be negative")
        require(self.perceptual >= 0, "perceptual must not be negative")
        require(self.pixel_weight + self.perceptual > 0, "one of the weights must be positive")
        require(0 < self.perceptual_share <= 1, "perceptual_share must lie above 0 and up to 1")
        require(self.perceptual_scale >= 1, "perceptual_scale must be at least 1")
        require(self.adversarial >= 0, "adversarial must not be negative")
        require(
            not self.adversarial or self.perceptual > 0,
            "adversarial needs perceptual, whose features the discriminator reads",
        )
        require(self.classifier >= 0, "classifier must not be negative")
        require(
            not self.classifier or self.perceptual > 0,
            "classifier needs perceptual, whose network it asks",
        )
        require(self.critic_smoothness >= 0, "critic_smoothness must not be negative")


Mining = Literal["semi-hard", "hard", "all"]


@dataclass(frozen=True)
class TripletsRecipe:
    """`[triplets]`: what teaches a face embedder whose face it is. For a face embedder only."""

    margin: float = 0.2
    """By how much a person's pictures must be nearer to each other than to anybody else's, in
    squared distance (0 … 4)."""
    mining: Mining = "semi-hard"
    """Whose picture a pair of one person's is compared to: the nearest beyond the pair, the nearest
    of all (hard), or everybody's, the nearer the more."""
    shots: int = 4
    """Pictures of each person in a batch."""
    favour: float = 0.0
    """How much more often people of many pictures are drawn: in proportion to the number of their
    pictures raised to this power (0: everybody equally often; 1: every picture equally often)."""
    colour: float = 0.2
    """Change contrast, brightness and colours by up to so much."""

    def __post_init__(self) -> None:
        require(self.margin > 0, "margin must be positive")
        require(self.shots >= 2, "shots must be at least 2")
        require(0 <= self.favour <= 1, "favour must lie in 0 … 1")
        require(0 <= self.colour <= 1, "colour must lie in 0 … 1")


@dataclass(frozen=True)
class AutoencoderRecipe:
    """`[autoencoder]`: how both decoders and their encoder learn together. For an auto-encoder
    only."""

    bits_weight: float = 1.0
    """Of the bits per dimension of the PixelCNN. 0: it is left as it is, for a part in which the
    rest learns several times as fast."""
    mean_weight: float = 1.0
    """Of the mean squared error of the first decoder, values in -1 … 1."""
    semantic_weight: float = 0.0
    """With model.semantic: weight of how far what a small network guesses of these numbers lies
    from what EfficientNet-lite0 says (Kullback-Leibler, in nats). 0: their encoder is left as
    `--init` gave it."""
    semantic_size: int = 0
    """Size at which that classifier is given the pictures, averaged down to it, to be enlarged by
    `data.features_scale` (0: the size of the model's pictures): it may see more than the
    encoder."""
    semantic_dropout: float = 0.0
    """Share of the pictures whose semantic numbers are not told (0 in their place)."""
    joint: bool = True
    """Both decoders teach the encoder, the first from the first step on; else the PixelCNN alone
    does."""
    noise: float = 0.0
    """Standard deviation of what is added to each number of h, so that near codes mean like
    pictures."""
    inner_share: float = 0.5
    """With model.inner: share of the pictures of which the first numbers of h alone are told."""

    def __post_init__(self) -> None:
        require(self.bits_weight >= 0, "bits_weight must not be negative")
        require(self.mean_weight > 0, "mean_weight must be positive")
        require(
            self.joint or self.bits_weight > 0,
            "joint = false leaves the encoder to the PixelCNN, and bits_weight is 0",
        )
        require(self.semantic_weight >= 0, "semantic_weight must not be negative")
        require(0 <= self.semantic_dropout < 1, "semantic_dropout must lie in 0 … 1")
        require(self.semantic_size >= 0, "semantic_size must not be negative")
        require(self.noise >= 0, "noise must not be negative")
        require(0 < self.inner_share < 1, "inner_share must lie between 0 and 1")


@dataclass(frozen=True)
class OptimiserRecipe:
    """`[optimiser]`: AdamW, and the moving average of the weights."""

    lr: float = 1e-3
    """Learning rate after the warm-up."""
    beta1: float = 0.9
    """Decay of the mean of the gradients."""
    beta2: float = 0.99
    """Decay of the mean of their squares."""
    weight_decay: float = 0.0
    """Of matrices and filters; biases, norms and embeddings have none."""
    batch: int = 32
    """Pictures per step and process."""
    warmup: int = 200
    """Steps over which the learning rate rises from 0."""
    clip: float = 1.0
    """Largest norm of the gradient (0: no limit)."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what is exported."""
    patience: int = 20
    """Steps in a row with a gradient that is not finite, all skipped, before the run stops."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr must be positive")
        for name in ("beta1", "beta2", "ema"):
            require(0 <= getattr(self, name) < 1, f"{name} must lie in 0 … 1")
        for name in ("weight_decay", "warmup", "clip"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("batch", "patience"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")


@dataclass(frozen=True)
class ScheduleRecipe:
    """`[schedule]`: how long, and the learning rate on the way."""

    steps: int = 0
    """Length in steps (0: `minutes` decides)."""
    minutes: float = 0.0
    """Length in minutes of training, over all resumed parts (0: `steps` decides)."""
    decay: Literal["linear", "cosine", "none"] = "linear"
    """How the learning rate goes down to 0."""
    decay_from: float = 0.5
    """Share of the length after which it begins to."""

    def __post_init__(self) -> None:
        require(self.steps >= 0, "steps must not be negative")
        require(self.minutes >= 0, "minutes must not be negative")
        require((self.steps > 0) != (self.minutes > 0), "give either steps or minutes")
        require(0 <= self.decay_from < 1, "decay_from must lie in 0 … 1")


@dataclass(frozen=True)
class ComputeRecipe:
    """`[compute]`: how the same numbers are computed faster."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Of convolutions; weights, their average and the log-likelihood are always fp32. A processor
    without bf16 trains in fp32 all the same."""
    compile: bool = False
    """Compile the network (needs a C++ compiler on a CPU)."""
    channels_last: bool = False
    """Keep the channels of filters and feature maps together in memory."""


@dataclass(frozen=True)
class IntervalsRecipe:
    """`[intervals]`, in minutes. 0 switches one off (the end of a run always saves)."""

    checkpoint: float = 8.0
    """Between saved states."""
    validation: float = 10.0
    """Between figures for the held-out pictures."""
    samples: float = 30.0
    """Between grids of samples."""

    def __post_init__(self) -> None:
        for f in fields(self):
            require(getattr(self, f.name) >= 0, f"{f.name} must not be negative")


@dataclass(frozen=True)
class CardRecipe:
    """`[card]`: what the model card says beyond the figures."""

    summary: str = ""
    """What the model does, in a sentence or two."""
    license: str = "other"
    """Licence id of the weights on the Hub, such as "cc-by-nc-4.0"."""
    license_text: str = ""
    """What the licence means for a user, and why."""
    data: str = ""
    """What the training data are."""
    sheet: str = ""
    """What the sheet of samples shows, and the command that draws it."""
    limits: tuple[str, ...] = ()
    """What the model cannot do, or should not be used for."""


@dataclass(frozen=True)
class Recipe:
    """Everything that makes one model."""

    model: AnyConfig
    """`[model]`: the network; its key `model` names the class."""
    seed: int = 0
    """Of the first weights and of everything random in the run."""
    data: DataRecipe = field(default_factory=DataRecipe)
    losses: LossesRecipe = field(default_factory=LossesRecipe)
    triplets: TripletsRecipe = field(default_factory=TripletsRecipe)
    autoencoder: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=lambda: ScheduleRecipe(steps=1000))
    compute: ComputeRecipe = field(default_factory=ComputeRecipe)
    intervals: IntervalsRecipe = field(default_factory=IntervalsRecipe)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    card: CardRecipe = field(default_factory=CardRecipe)

    def __post_init__(self) -> None:
        config = self.model
        what = f"model {config.model!r}"
        if isinstance(config, TokenizerConfig | FaceEmbedderConfig):
            require(self.sampling == SamplingOptions(), f"[sampling] is not for {what}")
        require(
            not self.data.vectors or config.vector_features > 0,
            "data.vectors needs model.vector_features",
        )
        if not isinstance(config, GridConfig):
            for name in ("tokenizer", "embedder"):
                require(not getattr(self.data, name), f"data.{name} is not for {what}")
        elif config.vector_components:
            require(not self.data.embedder, "model.vector_components is not for data.embedder")
        elif config.vector:
            require(
                bool(self.data.embedder), "model.vector needs data.embedder or vector_components"
            )
        elif self.data.embedder:
            raise ValueError("data.embedder needs model.vector, the length of its embeddings")
        given = isinstance(config, GatedPixelCNNConfig) and config.given_channels > 0
        require(not given, "model.given_channels: nothing here gives a map")
        few = self.sampling.candidates == 1
        require(few or bool(self.data.embedder), "sampling.candidates needs data.embedder")
        if not isinstance(config, TokenizerConfig):
            require(self.losses == LossesRecipe(), "[losses] is for a tokenizer")
        if not isinstance(config, FaceEmbedderConfig):
            require(self.triplets == TripletsRecipe(), "[triplets] is for a face embedder")
        if not isinstance(config, AutoencoderConfig):
            own = self.autoencoder == AutoencoderRecipe()
            require(own, "[autoencoder] is for an auto-encoder")
        else:
            require(
                not (self.autoencoder.semantic_size and self.data.crop),
                "autoencoder.semantic_size is not for data.crop: the classifier would see more",
            )
            for name in ("semantic_weight", "semantic_dropout"):
                needed = getattr(self.autoencoder, name) > 0
                require(
                    config.semantic > 0 or not needed, f"autoencoder.{name} needs model.semantic"
                )

    @property
    def label_column(self) -> str:
        """The column that says what or who is on the pictures; empty where nobody asks."""
        config = self.model
        asks = config.classes or self.data.embedder or isinstance(config, FaceEmbedderConfig)
        return self.data.label if asks else ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON- and TOML-ready dictionary from which `recipe_from_dict` rebuilds the recipe."""
        return {**asdict(self), "model": self.model.to_dict()}


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe in a TOML file, with `key.sub=value` overrides applied.

    Raises PixelgenError (exit code 2) that says which key or value is wrong.
    """
    table = read_table(path)
    for text in overrides:
        override(table, text)
    try:
        return recipe_from_dict(table)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def recipe_from_dict(table: Mapping[str, Any]) -> Recipe:
    """Inverse of `Recipe.to_dict`. Raises ValueError for unknown keys and wrong values."""
    if not isinstance(table.get("model"), Mapping):
        raise ValueError("a recipe needs a [model] table")
    recipe: Recipe = _build(Recipe, table, "")
    return recipe


def recipe_text(recipe: Recipe) -> str:
    """The recipe as TOML, without what is left at its default."""
    lines: list[str] = []
    # A TOML key that belongs to no table must come before the first one.
    ordered = sorted(recipe.to_dict().items(), key=lambda item: isinstance(item[1], dict))
    for key, value in ordered:
        if isinstance(value, dict):
            lines += table_lines(key, value, getattr(recipe, key))
        else:
            lines.append(f"{key} = {toml_value(value)}")
    return "\n".join(lines).strip() + "\n"


def _build(cls: type[Any], table: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass `cls` from a table, every key and value checked."""
    hints = get_type_hints(cls)
    for key in table:
        if key not in hints:
            raise ValueError(f"unknown key {where + key!r}{_nearest(key, where, hints)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        name, expected = where + key, hints[key]
        if key == "model" and cls is Recipe:
            values[key] = section(config_from_dict, name, value)
        elif is_dataclass(expected):
            if not isinstance(value, Mapping):
                raise ValueError(f"{name!r} must be a table [{name}]")
            values[key] = _build(expected, value, name + ".")  # type: ignore[arg-type]
        else:
            values[key] = checked(name, expected, value)
    if cls is Recipe:
        return cls(**values)
    return section(lambda v: cls(**v), where.rstrip("."), values)


def _nearest(key: str, where: str, hints: Mapping[str, Any]) -> str:
    """The right key that looks most like a wrong one, wherever in the recipe it belongs."""
    full = {where + name: where + name for name in hints}
    for part, hint in get_type_hints(Recipe).items():
        names = get_type_hints(hint) if is_dataclass(hint) else {}
        full |= {f"{part}.{name}": f"{part}.{name}" for name in names}
    for config in CONFIGS.values():
        full |= {f"model.{f.name}": f"model.{f.name}" for f in fields(config)}
    # First a right name in a wrong table, then a wrong name in the right one.
    last = {name.rpartition(".")[2]: name for name in full}
    near = [last[key]] if key in last else []
    near = near or difflib.get_close_matches(where + key, full, n=1, cutoff=0.7)
    near = near or [last[n] for n in difflib.get_close_matches(key, last, n=1)]
    return f", did you mean {near[0]!r}?" if near else ""
