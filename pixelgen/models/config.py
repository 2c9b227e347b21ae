"""Configurations of the networks. No torch here, so that they can be read at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, cast

from pixelgen.models.config_base import Config, one_of, require

ChannelOrder = Literal["groups", "head", "likelihood"]
LikelihoodName = Literal["softmax", "logistic"]
Embedding = Literal["scalar", "table"]
Normalisation = Literal["none", "channel"]

_C = TypeVar("_C", bound=Config)


@dataclass(frozen=True)
class GridConfig(Config):
    """What every model of a grid of discrete values needs to know."""

    channels: int = 3
    """Values per position: 3 for RGB, the number of codebooks for a grid of codes."""
    height: int = 32
    """Rows of the picture."""
    width: int = 32
    """Columns of the picture."""
    levels: int = 256
    """Values that an entry can take: 0 … levels - 1."""
    features: int = 120
    """Feature maps p of every stack."""
    layers: int = 15
    """Layers after the first one (which has its own kernel)."""
    kernel: int = 5
    """Filter size n of the layers, odd."""
    first_kernel: int = 7
    """Filter size of the first layer, odd."""
    likelihood: LikelihoodName = "softmax"
    """Distribution of one value: a `levels`-way softmax, or a discretized mixture of logistics."""
    mixtures: int = 10
    """Components of the mixture of logistics."""
    output_features: int = 240
    """Feature maps of the 1×1 layer before the likelihood."""

    def __post_init__(self) -> None:
        for name in ("channels", "height", "width", "features", "mixtures", "output_features"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(self.levels >= 2, "levels must be at least 2")
        require(self.layers >= 0, "layers must not be negative")
        for name in ("kernel", "first_kernel"):
            value = getattr(self, name)
            require(value >= 1 and value % 2 == 1, f"{name} must be odd and positive, not {value}")
        one_of("likelihood", self.likelihood, LikelihoodName)


class WithoutVector:
    """What configurations of networks that read no condition vector have in common."""

    vector: ClassVar[int] = 0
    """Length of the condition vector."""
    vector_components: ClassVar[int] = 0
    """See `GatedPixelCNNConfig`."""
    vector_features: ClassVar[int] = 0
    """See `GatedPixelCNNConfig`."""


@dataclass(frozen=True)
class PixelCNNConfig(WithoutVector, GridConfig):
    """The PixelCNN of van den Oord et al. 2016 (a): masked convolutions, ReLU, residual blocks.

    Channels are autoregressive through masked groups of feature maps. Its receptive field has a
    blind spot; it is here as the baseline.
    """

    model: ClassVar[str] = "pixelcnn"

    kernel: int = 3
    classes: int = 0
    """Number of classes of a class condition (0: none)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.classes >= 0, "classes must not be negative")
        require(
            not self.classes or self.layers > 0,
            "a class condition needs at least one residual block",
        )
        for name in ("features", "output_features"):
            value = getattr(self, name)
            require(
                value % self.channels == 0,
                f"{name} ({value}) must be a multiple of channels ({self.channels})",
            )


@dataclass(frozen=True)
class GatedPixelCNNConfig(GridConfig):
    """A Gated PixelCNN (van den Oord et al. 2016, section 2) over any grid of discrete values."""

    model: ClassVar[str] = "gated_pixelcnn"

    patch: int = 1
    """Space-to-depth: model the (patch·patch·channels, height/patch, width/patch) grid instead."""
    embedding: Embedding = "scalar"
    """How a value enters: as a number in -1 … 1, or through a learned table per channel."""
    embedding_features: int = 16
    """Width of a table's rows."""
    channel_order: ChannelOrder = "groups"
    """What makes the channels of one position autoregressive: masked groups of feature maps (the
    paper), a small network after the stacks (`head`), or the likelihood itself (PixelCNN++)."""
    head_features: int = 64
    """Hidden units per channel of the `head`."""
    head_layers: int = 1
    """Residual layers of the `head`."""
    head_linear_mean: bool = False
    """The `head` moves the means of a value's logistics by a linear map of what it reads: its small
    network then models what a linear prediction leaves over."""
    vertical_residual: bool = False
    """Residual connections in the vertical stack too (the paper has none)."""
    skip_outputs: bool = False
    """The output reads every layer instead of the last."""
    input_skip: bool = False
    """The linear map of the first layer is added to what the last layer or the head reads; no ReLU
    stands between them then."""
    normalisation: Normalisation = "none"
    """Root-mean-square normalisation over the feature maps of a position, before each layer."""
    dropout: float = 0.0
    """Dropout on the gated maps of the horizontal stack."""
    classes: int = 0
    """Number of classes of a class condition (0: none); one more row stands for "no class"."""
    vector: int = 0
    """Length of the condition vector h (0: none)."""
    vector_bias: bool = True
    """h enters every layer as V^T h (equation 4). Without it, h acts through the map alone."""
    map_channels: int = 0
    """Channels of the map s = m(h) made by a deconvolutional network (equation 5; 0: none)."""
    given_channels: int = 0
    """Channels of a map s that is given with the condition, beside m(h) (0: none)."""
    vector_components: int = 0
    """Gaussians of each class in p(h | class), which h is drawn from where only a class is given
    (0: h comes from elsewhere)."""
    vector_features: int = 0
    """Features of a classifier that h is made of, by a linear map that is kept beside p(h | class)
    (0: it is not kept)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("embedding", self.embedding, Embedding)
        one_of("channel_order", self.channel_order, ChannelOrder)
        one_of("normalisation", self.normalisation, Normalisation)
        require(0 <= self.dropout < 1, "dropout must lie in 0 … 1")
        for name in ("patch", "embedding_features", "head_features"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        for name in ("head_layers", "classes", "vector", "map_channels", "given_channels"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("height", "width"):
            value = getattr(self, name)
            require(
                value % self.patch == 0,
                f"{name} ({value}) must be a multiple of patch ({self.patch})",
            )
        require(
            self.map_channels == 0 or self.vector > 0, "map_channels needs a condition vector h"
        )
        for name in ("vector_components", "vector_features"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(
            not self.vector_features or self.vector_components > 0,
            "vector_features needs vector_components",
        )
        require(
            self.vector_components == 0 or (self.vector > 0 and self.classes > 0),
            "vector_components needs classes and a condition vector h",
        )
        if self.vector:
            require(self.vector_bias or self.map_channels > 0, "the vector h would have no effect")
        if self.channel_order == "groups":
            for name in ("features", "output_features"):
                value = getattr(self, name)
                require(
                    value % self.grid_channels == 0,
                    f"{name} ({value}) must be a multiple of the grid's channels "
                    f"({self.grid_channels}) when channel_order is 'groups'",
                )
        require(
            not self.head_linear_mean
            or (self.channel_order == "head" and self.likelihood == "logistic"),
            "head_linear_mean needs channel_order 'head' and the logistic likelihood",
        )
        if self.channel_order == "likelihood":
            require(
                self.likelihood == "logistic" or self.grid_channels == 1,
                "channel_order 'likelihood' needs the logistic likelihood for several channels",
            )

    @property
    def grid_channels(self) -> int:
        """Channels after space-to-depth."""
        return self.channels * self.patch**2

    @property
    def grid_height(self) -> int:
        """Rows after space-to-depth."""
        return self.height // self.patch

    @property
    def grid_width(self) -> int:
        """Columns after space-to-depth."""
        return self.width // self.patch


@dataclass(frozen=True)
class SquareConfig(WithoutVector, Config):
    """What networks that take in square RGB pictures have in common: two resolutions, wide, after
    space-to-depth by `patch`, and deep, half of that."""

    channels: ClassVar[int] = 3
    """Of a picture."""
    classes: ClassVar[int] = 0
    """They have no class condition."""

    size: int = 64
    """Rows and columns of a picture."""
    patch: int = 4
    """Space-to-depth before the first convolution."""
    wide_features: int = 128
    """Feature maps of the wide stage, size/patch rows and columns."""
    wide_blocks: int = 2
    """Residual blocks of the wide stage."""
    deep_features: int = 256
    """Feature maps of the deep stage, half as many rows and columns."""
    deep_blocks: int = 2
    """Residual blocks of the deep stage."""

    def __post_init__(self) -> None:
        for name in ("size", "patch", "wide_features", "deep_features"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        for name in ("wide_blocks", "deep_blocks"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(
            self.size % (2 * self.patch) == 0,
            f"size ({self.size}) must be a multiple of twice the patch ({self.patch})",
        )

    @property
    def height(self) -> int:
        """Rows of a picture."""
        return self.size

    @property
    def width(self) -> int:
        """Columns of a picture."""
        return self.size

    @property
    def deep_size(self) -> int:
        """Rows and columns of the deep stage."""
        return self.size // (2 * self.patch)


@dataclass(frozen=True)
class TokenizerConfig(SquareConfig):
    """An auto-encoder between square RGB pictures and grids of codes (Mentzer et al. 2023).

    Its decoder mirrors the encoder, with as many blocks and depth-to-space at its end.
    """

    model: ClassVar[str] = "tokenizer"

    output_features: int = 8
    """Feature maps of full size before the last, thin convolution."""
    fine_features: int = 0
    """Feature maps of the decoder's fine stage, which has twice as many rows and columns as the
    wide stage and adds to the maps of full size. 0: there is none."""
    fine_blocks: int = 3
    """Residual blocks of the fine stage."""
    code_size: int = 8
    """Rows and columns of the grid of codes: those of the deep or of the wide stage. In the second
    case the deep stage is a branch that runs beside the wide one."""
    code_channels: int = 5
    """Codes per position."""
    levels: int = 8
    """Values that a code can take: 0 … levels - 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("output_features", "code_channels"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(self.levels >= 2, "levels must be at least 2")
        for name in ("fine_features", "fine_blocks"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(
            not self.fine_features or self.patch % 2 == 0,
            f"fine_features requires an even patch, not {self.patch}",
        )
        sizes = (self.deep_size, self.size // self.patch)
        require(
            self.code_size in sizes,
            f"code_size must be {sizes[0]} or {sizes[1]}, not {self.code_size}",
        )

    @property
    def layers(self) -> int:
        """Residual blocks in all."""
        fine = self.fine_blocks if self.fine_features else 0
        return 2 * (self.wide_blocks + self.deep_blocks) + fine

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a grid of codes."""
        return self.code_channels, self.code_size, self.code_size


@dataclass(frozen=True)
class FaceEmbedderConfig(SquareConfig):
    """A convolutional network from aligned faces to points on a sphere (Schroff et al. 2015)."""

    model: ClassVar[str] = "face_embedder"

    wide_features: int = 96
    deep_features: int = 192
    deep_blocks: int = 3
    place_features: int = 32
    """Feature maps that are kept of every place of the deep stage."""
    dropout: float = 0.0
    """Of these."""
    embedding: int = 64
    """Numbers of an embedding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("place_features", "embedding"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(0 <= self.dropout < 1, "dropout must lie in 0 … 1")

    @property
    def layers(self) -> int:
        """Residual blocks in all."""
        return self.wide_blocks + self.deep_blocks


@dataclass(frozen=True)
class AutoencoderConfig(SquareConfig):
    """An auto-encoder with a deconvolutional and a PixelCNN decoder (van den Oord et al. 2016,
    section 3.4). The first decoder mirrors the encoder, with as many blocks."""

    model: ClassVar[str] = "autoencoder"

    size: int = 32
    place_features: int = 64
    """Feature maps that are kept of every place of the deep stage."""
    output_features: int = 8
    """Feature maps of full size before the first decoder's last, thin convolution."""
    bottleneck: int = 100
    """Numbers that are left of a picture: the length of h."""
    inner: int = 0
    """The first so many numbers of h are a bottleneck of their own: both decoders also learn to do
    with these alone (nested dropout: Rippel, Gelbart, Adams 2014). 0: there is none."""
    principal: bool = False
    """The encoder adds to the picture's scores on the principal components of the training set, of
    unit variance there, and the first decoder to the picture that these make: it begins as the best
    linear one. Else h is bounded by a tanh."""
    mean_channels: int = 0
    """Channels of a map made of the first decoder's picture, which the PixelCNN is given beside h
    (0: it does not see that picture)."""
    semantic: int = 0
    """The last so many numbers of h come from an encoder of their own and tell what is on the
    picture, not where: a classifier teaches them, beside the decoders. They are a point on a
    sphere, a mean square of 1. 0: there are none."""
    semantic_patch: int = 2
    """`patch` of that encoder."""
    semantic_wide_features: int = 64
    """`wide_features` of that encoder."""
    semantic_wide_blocks: int = 1
    """`wide_blocks` of that encoder."""
    semantic_deep_features: int = 128
    """`deep_features` of that encoder."""
    semantic_deep_blocks: int = 2
    """`deep_blocks` of that encoder."""
    semantic_place_features: int = 64
    """`place_features` of that encoder."""
    pixels: GatedPixelCNNConfig = field(kw_only=True)
    """The PixelCNN decoder. In a dictionary without what follows from the other fields: channels,
    rows, columns, levels, and what it is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("place_features", "output_features", "bottleneck"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(0 <= self.inner < self.bottleneck, "inner must lie in 0 … bottleneck - 1")
        require(0 <= self.semantic < self.bottleneck, "semantic must lie in 0 … bottleneck - 1")
        require(
            self.inner <= self.spatial,
            f"inner is at most bottleneck - semantic ({self.spatial})",
        )
        if self.semantic:
            require(self.semantic_place_features >= 1, "semantic_place_features must be at least 1")
            _ = self.semantic_encoder  # raises ValueError for what cannot be built
        values = self.channels * self.size**2
        require(
            not self.principal or self.spatial <= values,
            f"principal components are at most as many as a picture's {values} values",
        )
        require(self.mean_channels >= 0, "mean_channels must not be negative")
        derived = _pixels_of(self.size, self.bottleneck, self.mean_channels)
        for name, value in derived.items():
            found = getattr(self.pixels, name)
            require(found == value, f"pixels.{name} must be {value}, not {found}")
        require(not self.pixels.classes, "pixels.classes must be 0: the condition is h")

    @property
    def layers(self) -> int:
        """Residual blocks and layers in all."""
        semantic = self.semantic_wide_blocks + self.semantic_deep_blocks if self.semantic else 0
        return 2 * (self.wide_blocks + self.deep_blocks) + semantic + self.pixels.layers

    @property
    def spatial(self) -> int:
        """Numbers of h that tell what lies where: all but the semantic ones."""
        return self.bottleneck - self.semantic

    @property
    def semantic_encoder(self) -> SquareConfig:
        """What the encoder of the semantic numbers is built of."""
        names = ("patch", "wide_features", "wide_blocks", "deep_features", "deep_blocks")
        try:
            return SquareConfig(
                size=self.size, **{name: getattr(self, f"semantic_{name}") for name in names}
            )
        except ValueError as error:
            raise ValueError(f"semantic encoder: {error}") from None

    @property
    def bottlenecks(self) -> tuple[int, ...]:
        """How many numbers of h the decoders do with, the fewest first."""
        return (self.inner, self.bottleneck) if self.inner else (self.bottleneck,)

    def to_dict(self) -> dict[str, Any]:
        """See `pixels` for what is left out."""
        values = super().to_dict()
        for name in _pixels_of(self.size, self.bottleneck, self.mean_channels):
            del values["pixels"][name]
        return values

    @classmethod
    def from_dict(cls: type[_C], values: Mapping[str, Any]) -> _C:
        """Inverse of `to_dict`. Raises ValueError for unknown keys and values of a wrong type."""
        given = cls.checked(values)
        pixels = given.get("pixels", {})
        if not isinstance(pixels, Mapping):
            raise ValueError(f"pixels must be a table, not {pixels!r}")
        derived = _pixels_of(
            *(
                given.get(name, getattr(cls, name))
                for name in ("size", "bottleneck", "mean_channels")
            )
        )
        try:
            decoder = GatedPixelCNNConfig.from_dict({**derived, **pixels})
        except ValueError as error:
            raise ValueError(f"pixels: {error}") from None
        return cls(**{**given, "pixels": decoder})


def _pixels_of(size: int, bottleneck: int, given: int) -> dict[str, int]:
    """What the PixelCNN decoder of such an auto-encoder must be."""
    picture = {"channels": 3, "height": size, "width": size, "levels": 256}
    return {**picture, "vector": bottleneck, "given_channels": given}


ModelConfig = PixelCNNConfig | GatedPixelCNNConfig
"""Of an autoregressive model."""
AnyConfig = ModelConfig | TokenizerConfig | FaceEmbedderConfig | AutoencoderConfig

CONFIGS: dict[str, type[Config]] = {
    c.model: c
    for c in (
        PixelCNNConfig,
        GatedPixelCNNConfig,
        TokenizerConfig,
        FaceEmbedderConfig,
        AutoencoderConfig,
    )
}


def config_from_dict(values: Mapping[str, Any]) -> AnyConfig:
    """The configuration that `values` describes; its "model" key names the class."""
    name = values.get("model")
    if not isinstance(name, str) or name not in CONFIGS:
        raise ValueError(f"unknown model {name!r}, expected one of {', '.join(CONFIGS)}")
    return cast(AnyConfig, CONFIGS[name].from_dict(values))
