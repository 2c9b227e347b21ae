"""Recipes: one TOML file with everything needed to train a model. No torch here."""

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
    PixelVAEConfig,
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

MOST_LAYERS = 1000
"""Layers of a model that is trained, at most; published ones have some dozens."""


@dataclass(frozen=True)
class DataRecipe:
    """`[data]`: the pictures and their preprocessing."""

    path: str = ""
    """A folder, or a Hub data set `owner/name`."""
    image: str = "image"
    """The column of pictures."""
    label: str = "label"
    """The column of class labels, or of people for a face embedder or with `embedder`."""
    split: str = "train"
    """The split to train on."""
    size: int = 0
    """Downscale pictures to size×size by a whole factor, averaging (0: do not downscale)."""
    fit: Literal["", "crop", "stretch", "pad"] = ""
    """With `size`: make pictures of any sizes square, by cropping their centre, by stretching, or
    by padding the shorter side with the median colour of the edges there, as they are downscaled
    (empty: all must be of one size)."""
    skip_unreadable: bool = False
    """Leave out pictures that cannot be read, and name them."""
    crop: int = 0
    """Crop the central crop×crop pixels (0: do not crop)."""
    jitter: int = 0
    """Shift the crop at random by up to this many pixels; beyond the border pictures are
    mirrored."""
    flip: bool = True
    """Mirror pictures horizontally with probability ½."""
    class_dropout: float = 0.1
    """Share of pictures trained on without their condition (class, vector, or the latent h of an
    auto-encoder), which guidance needs."""
    tokenizer: str = ""
    """Weights of a tokenizer (name, folder or Hub id): its codes are modelled instead of pixels."""
    embedder: str = ""
    """Weights of a face embedder: its embeddings of the faces are the condition vectors, and
    `label` is the column of people."""
    other_photo: float = 0.8
    """With an embedder: share of the pictures that get the embedding of another photo of the same
    person, so that the network learns the person and not the photo."""
    vector_noise: float = 0.02
    """Standard deviation of the noise on each dimension of a condition vector."""
    vector_dropout: float = 0.15
    """With model.vector_components: share of the pictures trained on with their class but without
    their vector, beside those of `class_dropout`, so that p(picture | class) is learned too. With 0
    the network never sees a class alone: figures given that, and the choice among candidates of own
    classes, then use a vector that was not trained for it."""
    vectors: str = ""
    """Weights (name, folder or Hub id) with model.vector_features, whose projection to vectors and
    p(h | class) are reused; empty: both are fitted to the pictures. A run that starts from weights
    of such a model should name them here too."""
    features_scale: int = 2
    """Enlarge pictures by this factor for the classifier whose features become condition vectors
    (model.vector_components) or are distilled (model.semantic)."""
    views: int = 2
    """With a tokenizer: number of encoded views of each picture. With `flip` every second view is
    mirrored; those after the first two (without `flip`: after the first) are shifted by `jitter`.
    0: encode every batch anew, mirrored and shifted at random, which is a little slower and avoids
    overfitting in long runs."""
    holdout: int = 2000
    """Pictures of the split, drawn by `seed`, that are held out to validate on during the run."""

    def __post_init__(self) -> None:
        for name in ("size", "crop", "jitter"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(self.size > 0 or not self.fit, "fit needs size")
        require(self.views >= 0, "views must not be negative")
        require(self.holdout >= 0, "holdout must not be negative")
        for name in ("class_dropout", "other_photo", "vector_dropout"):
            require(0 <= getattr(self, name) <= 1, f"{name} must lie in 0 … 1")
        require(self.vector_noise >= 0, "vector_noise must not be negative")
        require(self.features_scale >= 1, "features_scale must be at least 1")


@dataclass(frozen=True)
class LossesRecipe:
    """`[losses]`: the losses of a tokenizer."""

    pixel: Literal["l1", "l2", "charbonnier"] = "l1"
    """Loss of each value in -1 … 1: absolute difference, its square, or a smooth absolute
    difference."""
    pixel_weight: float = 1.0
    """Weight of the mean pixel loss."""
    perceptual: float = 0.2
    """Weight of the perceptual distance (0: off)."""
    perceptual_share: float = 0.25
    """Share of a batch on which the perceptual distance is computed."""
    perceptual_scale: int = 1
    """Enlarge pictures by this factor for the classifier of the perceptual distance."""
    classifier: float = 0.0
    """Weight of the Kullback-Leibler divergence, in nats, of that classifier's class probabilities
    for a reconstruction from those for the picture. Above 0, the perceptual distance also compares
    its last features."""
    adversarial: float = 0.0
    """Weight of the adversarial loss (0: off). Its discriminator reads the features of the
    perceptual distance."""
    critic: Literal["hinge", "paired"] = "hinge"
    """Loss of the discriminator: to score pictures above 1 and reconstructions below -1 (hinge), or
    each picture above its own reconstruction (paired)."""
    critic_smoothness: float = 0.0
    """Weight of the discriminator's sensitivity to small noise on its input, which keeps its
    gradients small."""
    embedder: str = ""
    """Weights of a face embedder (name, folder or Hub id), for `identity`."""
    identity: float = 0.0
    """Weight of the distance between the features and embeddings that the embedder computes of a
    face and of its reconstruction (0: off)."""
    face_focus: float = 0.0
    """Extra weight of the eyes and the mouth of aligned faces in the pixel loss and the perceptual
    distance: at their centres a pixel counts 1 + face_focus times as much as far from them."""
    code_noise: float = 0.0
    """Share of the codes that are moved by one level before they are decoded, so that the decoder
    forgives a model of codes its small errors."""
    decoder_only: bool = False
    """Freeze the encoder of the weights that the run starts from, so that existing codes stay
    valid."""

    def __post_init__(self) -> None:
        require(self.pixel_weight >= 0, "pixel_weight must not be negative")
        require(self.perceptual >= 0, "perceptual must not be negative")
        require(
            self.pixel_weight + self.perceptual > 0, "pixel_weight or perceptual must be positive"
        )
        require(0 < self.perceptual_share <= 1, "perceptual_share must lie above 0 and up to 1")
        require(self.perceptual_scale >= 1, "perceptual_scale must be at least 1")
        require(self.adversarial >= 0, "adversarial must not be negative")
        require(
            not self.adversarial or self.perceptual > 0,
            "adversarial needs perceptual > 0: the discriminator reads its features",
        )
        require(self.classifier >= 0, "classifier must not be negative")
        require(
            not self.classifier or self.perceptual > 0,
            "classifier needs perceptual > 0: they share a network",
        )
        for name in ("critic_smoothness", "identity", "face_focus"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(0 <= self.code_noise <= 1, "code_noise must lie in 0 … 1")
        require(
            (self.identity > 0) == bool(self.embedder),
            "identity and embedder need each other: a weight, and the network that it is for",
        )


Mining = Literal["semi-hard", "hard", "all"]


@dataclass(frozen=True)
class TripletsRecipe:
    """`[triplets]`: the losses of a face embedder."""

    weight: float = 1.0
    """Weight of the triplet loss (0: off)."""

    margin: float = 0.2
    """Margin by which pictures of one person must be nearer to each other than to pictures of
    others, in squared distance (0 … 4)."""
    mining: Mining = "semi-hard"
    """Which negatives a pair of one person is compared to: the nearest beyond the pair (semi-hard),
    the nearest (hard), or all, weighted by how near they are."""
    shots: int = 4
    """Pictures of each person in a batch."""
    favour: float = 0.0
    """Draw people in proportion to the number of their pictures raised to this power (0: all people
    equally often; 1: all pictures equally often)."""
    colour: float = 0.2
    """Change contrast, brightness and colours at random by up to this much."""
    erase: float = 0.0
    """Share of the pictures of which a rectangle is made grey, at random."""
    people: float = 0.0
    """Weight of a classification of all people by cosine with a margin (CosFace; 0: off)."""
    people_margin: float = 0.3
    """Margin by which the cosine to the own person must be larger."""
    people_scale: float = 24.0
    """What cosines are multiplied by before the softmax."""

    def __post_init__(self) -> None:
        for name in ("weight", "people"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(self.weight + self.people > 0, "weight or people must be positive")
        require(0 <= self.people_margin < 2, "people_margin must lie in 0 … 2")
        require(self.people_scale > 0, "people_scale must be positive")
        require(0 <= self.erase <= 1, "erase must lie in 0 … 1")
        require(self.margin > 0, "margin must be positive")
        require(self.shots >= 2, "shots must be at least 2")
        require(0 <= self.favour <= 1, "favour must lie in 0 … 1")
        require(0 <= self.colour <= 1, "colour must lie in 0 … 1")


@dataclass(frozen=True)
class AutoencoderRecipe:
    """`[autoencoder]`: the losses of an auto-encoder with two decoders."""

    bits_weight: float = 1.0
    """Weight of the bits per dimension of the PixelCNN decoder. 0 freezes it, which trains the rest
    several times faster."""
    mean_weight: float = 1.0
    """Weight of the mean squared error of the deconvolutional decoder, values in -1 … 1."""
    semantic_weight: float = 0.0
    """With model.semantic: weight of the distillation of EfficientNet-lite0 into the semantic
    latents (Kullback-Leibler divergence, in nats). 0 freezes their encoder, which then must come
    from the weights that the run starts from."""
    semantic_size: int = 0
    """Size to which pictures are downscaled for that classifier, before they are enlarged by
    `data.features_scale` (0: the size of the model's pictures). It may be larger than that of the
    model."""
    semantic_dropout: float = 0.0
    """Share of the pictures whose semantic latents are set to 0 for the decoders."""
    joint: bool = True
    """Train the encoder by the losses of both decoders; false: by that of the PixelCNN alone."""
    noise: float = 0.0
    """Standard deviation of the noise on each dimension of h, so that near latents decode to
    similar pictures."""
    inner_share: float = 0.5
    """With model.inner: share of the pictures decoded from the inner dimensions of h alone."""
    free_bits: float = 0.0
    """Of a PixelVAE: bits of each latent dimension that cost nothing. The divergence of a dimension
    from the prior, averaged over the batch, counts as at least so much (Kingma et al. 2016,
    arXiv 1606.04934, equation 15), since an encoder that is penalised for every bit from the start
    learns to say nothing. Other auto-encoders have no such divergence."""

    def __post_init__(self) -> None:
        require(self.bits_weight >= 0, "bits_weight must not be negative")
        require(self.mean_weight > 0, "mean_weight must be positive")
        require(
            self.joint or self.bits_weight > 0,
            "joint = false trains the encoder by the PixelCNN alone, and bits_weight is 0",
        )
        require(self.semantic_weight >= 0, "semantic_weight must not be negative")
        require(0 <= self.semantic_dropout < 1, "semantic_dropout must be at least 0 and below 1")
        require(self.semantic_size >= 0, "semantic_size must not be negative")
        require(self.noise >= 0, "noise must not be negative")
        require(0 < self.inner_share < 1, "inner_share must lie between 0 and 1")
        require(self.free_bits >= 0, "free_bits must not be negative")


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
    """Weight decay of matrices and filters; biases, norms and embeddings have none."""
    batch: int = 32
    """Pictures per step in each process."""
    warmup: int = 200
    """Steps over which the learning rate rises from 0, a tenth of the run at most."""
    clip: float = 1.0
    """Maximum norm of the gradient (0: no limit)."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is exported."""
    patience: int = 20
    """Number of consecutive skipped steps (loss or gradient not finite) that stops the run."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr must be positive")
        for name in ("beta1", "beta2", "ema"):
            require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")
        for name in ("weight_decay", "warmup", "clip"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("batch", "patience"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")


@dataclass(frozen=True)
class ScheduleRecipe:
    """`[schedule]`: the length of the run and the decay of the learning rate."""

    steps: int = 0
    """Length in steps (0: `minutes` decides)."""
    minutes: float = 0.0
    """Length in minutes of training, over all resumed parts (0: `steps` decides)."""
    decay: Literal["linear", "cosine", "none"] = "linear"
    """Shape of the decay of the learning rate to 0."""
    decay_from: float = 0.5
    """Share of the length after which the decay begins."""

    def __post_init__(self) -> None:
        require(self.steps >= 0, "steps must not be negative")
        require(self.minutes >= 0, "minutes must not be negative")
        require(self.minutes < 1e30, "minutes must be below 1e30")
        require((self.steps > 0) != (self.minutes > 0), "give either steps or minutes")
        require(0 <= self.decay_from < 1, "decay_from must be at least 0 and below 1")


@dataclass(frozen=True)
class ComputeRecipe:
    """`[compute]`: precision and speed."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of convolutions and matrix products; weights, their average and the log-likelihood
    are always fp32. A processor without fast bf16 trains in fp32."""
    compile: bool = False
    """Compile the network, unless the run is too short to win back the minutes that this takes
    (needs a C++ compiler on a CPU)."""
    channels_last: bool = False
    """Use the channels-last memory format. Networks with weight normalisation (PixelCNN++) follow
    the layout of their input, so it changes nothing there."""


@dataclass(frozen=True)
class IntervalsRecipe:
    """`[intervals]`: minutes between actions. 0 switches one off; the end of a run always saves."""

    checkpoint: float = 8.0
    """Between saved states."""
    validation: float = 10.0
    """Between measurements on the held-out pictures."""
    samples: float = 30.0
    """Between sheets of samples."""

    def __post_init__(self) -> None:
        for f in fields(self):
            require(getattr(self, f.name) >= 0, f"{f.name} must not be negative")


@dataclass(frozen=True)
class CardRecipe:
    """`[card]`: text of the model card."""

    summary: str = ""
    """What the model does, in a sentence or two."""
    license: str = "unknown"
    """Licence id of the weights on the Hub, such as "cc-by-nc-4.0"."""
    license_text: str = ""
    """What the licence means for users, and why."""
    data: str = ""
    """Description of the training data."""
    sheet: str = ""
    """Caption of the sheet of samples, with the command that draws it."""
    limits: tuple[str, ...] = ()
    """Limitations: what the model cannot do, or should not be used for."""


@dataclass(frozen=True)
class Recipe:
    """Everything needed to train one model."""

    model: AnyConfig
    """`[model]`: the configuration of the network; its key `model` is the kind."""
    seed: int = 0
    """Seed of the initial weights and of all other random numbers of the run."""
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
        pixels = config.pixels if isinstance(config, AutoencoderConfig) else config
        for layers in (config.layers, getattr(pixels, "head_layers", 0)):
            require(
                layers <= MOST_LAYERS,
                f"a model of {layers} layers takes too long to build: at most {MOST_LAYERS}",
            )
        if isinstance(config, TokenizerConfig | FaceEmbedderConfig):
            require(self.sampling == SamplingOptions(), f"[sampling] does not apply to {what}")
        if isinstance(config, FaceEmbedderConfig):
            require(
                not config.ensemble,
                "an ensemble is not trained as one: `pixelgen export --ensemble` makes it",
            )
        require(
            not self.data.vectors or config.vector_features > 0,
            "data.vectors needs model.vector_features",
        )
        if not isinstance(config, GridConfig):
            for name in ("tokenizer", "embedder"):
                require(not getattr(self.data, name), f"data.{name} does not apply to {what}")
        elif config.vector_components:
            require(not self.data.embedder, "model.vector_components excludes data.embedder")
        elif config.vector:
            require(
                bool(self.data.embedder), "model.vector needs data.embedder or vector_components"
            )
        elif self.data.embedder:
            raise ValueError("data.embedder needs model.vector, the length of its embeddings")
        has_map = isinstance(config, GatedPixelCNNConfig) and config.given_channels > 0
        require(not has_map, "model.given_channels is only for the PixelCNN of an auto-encoder")
        single = self.sampling.candidates == 1
        chosen = bool(self.data.embedder) or config.classes > 0
        require(single or chosen, "sampling.candidates needs data.embedder or model.classes")
        for kind, table, default, name in (
            (TokenizerConfig, "losses", LossesRecipe(), "a tokenizer"),
            (FaceEmbedderConfig, "triplets", TripletsRecipe(), "a face embedder"),
            (AutoencoderConfig, "autoencoder", AutoencoderRecipe(), "an auto-encoder"),
        ):
            allowed = isinstance(config, kind) or getattr(self, table) == default
            require(allowed, f"[{table}] requires {name}")
        if isinstance(config, AutoencoderConfig):
            require(
                not (self.autoencoder.semantic_size and self.data.crop),
                "autoencoder.semantic_size excludes data.crop: the classifier would see more",
            )
            for name in ("semantic_weight", "semantic_dropout"):
                needed = getattr(self.autoencoder, name) > 0
                require(
                    config.semantic > 0 or not needed, f"autoencoder.{name} needs model.semantic"
                )
            if isinstance(config, PixelVAEConfig):
                require(self.autoencoder.bits_weight > 0, f"{what} needs autoencoder.bits_weight")
                require(
                    not self.autoencoder.noise,
                    f"autoencoder.noise does not apply to {what}, whose h is drawn anyway",
                )
            else:
                require(
                    not self.autoencoder.free_bits,
                    "autoencoder.free_bits requires model 'pixelvae'",
                )

    @property
    def label_column(self) -> str:
        """The column of classes or people; empty if the network uses neither."""
        return self.data.label if self.model.classes or self.of_people else ""

    @property
    def of_people(self) -> bool:
        """Whether labels are people, who are held out as a whole."""
        return bool(self.data.embedder) or isinstance(self.model, FaceEmbedderConfig)

    def to_dict(self) -> dict[str, Any]:
        """A JSON- and TOML-ready dictionary from which `recipe_from_dict` rebuilds the recipe."""
        return {**asdict(self), "model": self.model.to_dict()}


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe in a TOML file, with `key.sub=value` overrides applied. Its `[card]` is left out
    where they name another data set: a folder or id with another last part.

    Raises UsageError that says which key or value is wrong.
    """
    table = read_table(path)
    before = _data_name(table)
    card = table.pop("card", None)
    for text in overrides:
        override(table, text)
    # What a recipe's card says of data, licence and limits would not be true of other data.
    if card is not None and _data_name(table) == before:
        table["card"] = {**card, **table.get("card", {})} if isinstance(card, dict) else card
    try:
        return recipe_from_dict(table)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def _data_name(table: Mapping[str, Any]) -> str:
    """The last part of the path of a recipe's data."""
    data = table.get("data")
    return Path(str(data.get("path", ""))).name if isinstance(data, Mapping) else ""


def recipe_from_dict(table: Mapping[str, Any]) -> Recipe:
    """Inverse of `Recipe.to_dict`. Raises ValueError for unknown keys and wrong values."""
    if not isinstance(table.get("model"), Mapping):
        raise ValueError("a recipe needs a [model] table")
    recipe: Recipe = _build(Recipe, table, "")
    return recipe


def recipe_text(recipe: Recipe) -> str:
    """The recipe as TOML, without values that are the default."""
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
    """An instance of the dataclass `cls` from a table, with all keys and values checked."""
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
    """`, did you mean …?` with the key of any table that is most like a wrong one."""
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
