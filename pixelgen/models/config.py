"""Configurations of the networks, free of torch, so that reading one is quick.

A configuration says everything needed to build its network, and where the class of that network is
(`network`, which `build_model` imports).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar, cast

from pixelgen.models.config_base import Config, one_of, require

ChannelOrder = Literal["groups", "head", "likelihood"]
LikelihoodName = Literal["softmax", "logistic"]
Embedding = Literal["scalar", "table"]
Normalisation = Literal["none", "channel"]
RecurrentLayer = Literal["row_lstm", "diagonal_bilstm"]

_C = TypeVar("_C", bound=Config)


class Unconditioned:
    """The sizes of all conditions, 0: a network reads none.

    The configuration of a network that reads one has a field of that name instead.
    """

    @property
    def classes(self) -> int:
        """Number of classes of a class condition."""
        return 0

    @property
    def vector(self) -> int:
        """Length of the condition vector h."""
        return 0

    @property
    def vector_bias(self) -> bool:
        """h enters every layer."""
        return True

    @property
    def map_channels(self) -> int:
        """Channels of the map s = m(h)."""
        return 0

    @property
    def given_channels(self) -> int:
        """Channels of a given map s."""
        return 0

    @property
    def vector_components(self) -> int:
        """Gaussians of each class in p(h | class)."""
        return 0

    @property
    def vector_features(self) -> int:
        """Features of a classifier from which h is computed."""
        return 0


@dataclass(frozen=True)
class GridConfig(Unconditioned, Config):
    """The configuration of a model of a grid of discrete values."""

    kind: ClassVar[str] = "pixelcnn"

    channels: int = 3
    """Values per position: 3 for RGB, the number of codebooks for a grid of codes."""
    height: int = 32
    """Rows of the picture."""
    width: int = 32
    """Columns of the picture."""
    levels: int = 256
    """Values that an entry can take, at most 65536: 0 … levels - 1."""
    features: int = 120
    """Feature maps p of every stack."""
    layers: int = 15
    """Layers after the first one (which has its own kernel)."""
    kernel: int = 5
    """Filter size n of the layers, odd."""
    first_kernel: int = 7
    """Filter size of the first layer, odd."""
    likelihood: LikelihoodName = "softmax"
    """Distribution of one value: a `levels`-way softmax, or a discretised mixture of logistics."""
    mixtures: int = 10
    """Components of the mixture of logistics."""
    output_features: int = 240
    """Feature maps of the 1×1 layer before the likelihood."""

    def __post_init__(self) -> None:
        for name in ("channels", "height", "width", "features", "mixtures", "output_features"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(self.levels >= 2, "levels must be at least 2")
        # With logistics no tensor is as large, but sampling goes through all of them.
        require(self.levels <= 2**16, f"levels must be at most 65536, not {self.levels}")
        require(self.layers >= 0, "layers must not be negative")
        for name in ("kernel", "first_kernel"):
            value = getattr(self, name)
            require(value >= 1 and value % 2 == 1, f"{name} must be odd and positive, not {value}")
        one_of("likelihood", self.likelihood, LikelihoodName)

    @property
    def grid_channels(self) -> int:
        """Channels of the grid that the network sees."""
        return self.channels

    @property
    def grid_height(self) -> int:
        """Rows of that grid."""
        return self.height

    @property
    def grid_width(self) -> int:
        """Columns of that grid."""
        return self.width


@dataclass(frozen=True)
class PixelCNNConfig(GridConfig):
    """The PixelCNN of van den Oord et al. 2016 (a): masked convolutions, ReLU, residual blocks.

    Channels are autoregressive through masked groups of feature maps. Its receptive field has a
    blind spot; it is the baseline.
    """

    model: ClassVar[str] = "pixelcnn"
    network: ClassVar[str] = "pixelgen.models.pixelcnn:PixelCNN"

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
class PixelRNNConfig(GridConfig):
    """The PixelRNN of van den Oord et al. 2016 (a): layers of two-dimensional LSTMs.

    Channels are autoregressive through masked groups of feature maps. A Row LSTM sees a triangle
    above a position, a Diagonal BiLSTM everything before it.
    """

    model: ClassVar[str] = "pixelrnn"
    network: ClassVar[str] = "pixelgen.models.pixelrnn:PixelRNN"

    layer: RecurrentLayer = "row_lstm"
    """Kind of all LSTM layers."""
    features: int = 120
    """Feature maps between the layers, the paper's 2h: an LSTM has half as many units."""
    layers: int = 12
    """LSTM layers after the masked convolution."""
    kernel: int = 3
    """Filter size k of both convolutions of a Row LSTM, odd. Those of a Diagonal BiLSTM are 1×1 and
    2×1."""
    classes: int = 0
    """Number of classes of a class condition (0: none)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("layer", self.layer, RecurrentLayer)
        require(
            self.layer == "row_lstm" or self.kernel == type(self).kernel,
            f"kernel ({self.kernel}) applies only to layer 'row_lstm'",
        )
        require(self.layers >= 1, "layers must be at least 1")
        require(self.classes >= 0, "classes must not be negative")
        require(
            self.features % (2 * self.channels) == 0,
            f"features ({self.features}) must be a multiple of twice the channels "
            f"({self.channels})",
        )
        require(
            self.output_features % self.channels == 0,
            f"output_features ({self.output_features}) must be a multiple of channels "
            f"({self.channels})",
        )

    @property
    def units(self) -> int:
        """Units h of an LSTM, for each of its directions."""
        return self.features // 2


@dataclass(frozen=True)
class PixelCNNPPConfig(GridConfig):
    """PixelCNN++ (Salimans et al. 2017): two streams of gated residual blocks at several
    resolutions, with short-cuts from the way down to the way up.

    Channels are autoregressive through the likelihood alone, a mixture of logistics that they
    share. The defaults are the published network. Its filters are 2×3 and 2×2, and the likelihood
    reads the last block: these cannot be configured.
    """

    model: ClassVar[str] = "pixelcnn_pp"
    network: ClassVar[str] = "pixelgen.models.pixelcnn_pp:PixelCNNPP"

    kernel: ClassVar[int] = 3  # type: ignore[misc]
    first_kernel: ClassVar[int] = 3  # type: ignore[misc]
    output_features: ClassVar[int] = 1  # type: ignore[misc]

    features: int = 160
    """Feature maps of each stream."""
    layers: int = 5
    """Residual blocks of a stream at each resolution on the way down. On the way up there is one
    more at all resolutions but the lowest."""
    resolutions: int = 3
    """Resolutions, each with half the rows and columns of the one before: height and width are
    multiples of 2^(resolutions - 1)."""
    likelihood: LikelihoodName = "logistic"
    """Distribution of a position: a discretised mixture of logistics, with a single channel also a
    `levels`-way softmax."""
    dropout: float = 0.5
    """Dropout between the two convolutions of a block."""
    classes: int = 0
    """Number of classes of a class condition (0: none)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.layers >= 1, "layers must be at least 1")
        require(
            1 <= self.resolutions <= 10, f"resolutions must lie in 1 … 10, not {self.resolutions}"
        )
        step = 2 ** (self.resolutions - 1)
        for name in ("height", "width"):
            value = getattr(self, name)
            require(
                value % step == 0,
                f"{name} ({value}) must be a multiple of {step} for {self.resolutions} resolutions",
            )
        require(
            self.likelihood == "logistic" or self.channels == 1,
            "likelihood must be 'logistic' for several channels",
        )
        require(0 <= self.dropout < 1, "dropout must be at least 0 and below 1")
        require(self.classes >= 0, "classes must not be negative")


@dataclass(frozen=True)
class GatedPixelCNNConfig(GridConfig):
    """A Gated PixelCNN (van den Oord et al. 2016, section 2) over any grid of discrete values."""

    model: ClassVar[str] = "gated_pixelcnn"
    network: ClassVar[str] = "pixelgen.models.gated_pixelcnn:GatedPixelCNN"

    patch: int = 1
    """Space-to-depth: model the (patch·patch·channels, height/patch, width/patch) grid instead."""
    embedding: Embedding = "scalar"
    """How a value enters: as a number in -1 … 1, or through a learned table per channel."""
    embedding_features: int = 16
    """Width of a table's rows."""
    channel_order: ChannelOrder = "groups"
    """What makes the channels of one position autoregressive: masked groups of feature maps (the
    paper), a small network after the stacks (`head`), or the likelihood itself (`likelihood`,
    PixelCNN++)."""
    head_features: int = 64
    """Hidden units per channel of the `head`."""
    head_layers: int = 1
    """Residual layers of the `head`."""
    head_linear_mean: bool = False
    """The `head` adds a linear prediction to the means of a value's logistics: its small network
    then models the residual of that prediction."""
    vertical_residual: bool = False
    """Residual connections in the vertical stack too (the paper has none)."""
    skip_outputs: bool = False
    """The output reads every layer instead of the last."""
    input_skip: bool = False
    """The first layer's maps before their gate, mapped linearly, are added to the context that the
    head reads, without a ReLU in between."""
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
    """Channels of the map s = m(h) of a deconvolutional network (equation 5; 0: none)."""
    given_channels: int = 0
    """Channels of a map s that the condition itself holds, beside m(h) (0: none)."""
    vector_components: int = 0
    """Gaussians of each class in p(h | class), from which h is drawn where only a class is given
    (0: the model has no such prior)."""
    vector_features: int = 0
    """Features of a classifier from which h is computed, by a linear map that is stored beside
    p(h | class) (0: it is not stored)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("embedding", self.embedding, Embedding)
        one_of("channel_order", self.channel_order, ChannelOrder)
        one_of("normalisation", self.normalisation, Normalisation)
        require(0 <= self.dropout < 1, "dropout must be at least 0 and below 1")
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
        if self.channel_groups > 1:
            for name in ("features", "output_features"):
                value = getattr(self, name)
                require(
                    value % self.channel_groups == 0,
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
    def channel_groups(self) -> int:
        """Groups into which the feature maps are split, one for each channel of the grid, or 1."""
        return self.grid_channels if self.channel_order == "groups" else 1

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
class MultiScaleConfig(GatedPixelCNNConfig):
    """Two Gated PixelCNNs of the same sizes: one of the sub-sampled picture, which has the top left
    pixel of every patch, and one of the picture given it."""

    model: ClassVar[str] = "multiscale"
    network: ClassVar[str] = "pixelgen.models.multiscale:MultiScale"

    patch: int = 2
    """Every how many rows and columns there is a pixel of the sub-sampled picture; its rest is
    modelled in patches of this size."""
    context_features: int = 64
    """Channels of the map by which the second network sees the sub-sampled picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.patch >= 2, "patch must be at least 2")
        require(self.context_features >= 1, "context_features must be at least 1")
        require(self.channel_order != "likelihood", "channel_order must be 'groups' or 'head'")
        for name in ("vector", "map_channels", "given_channels"):
            require(not getattr(self, name), f"{name} does not apply to a model of two scales")
        _ = self.coarse, self.fine

    @property
    def coarse(self) -> GatedPixelCNNConfig:
        """Of the sub-sampled picture."""
        return self._part(height=self.grid_height, width=self.grid_width, patch=1)

    @property
    def fine(self) -> GatedPixelCNNConfig:
        """Of the picture given the sub-sampled one."""
        return self._part(given_channels=self.context_features)

    def _part(self, **changes: int) -> GatedPixelCNNConfig:
        shared = {f.name: getattr(self, f.name) for f in fields(GatedPixelCNNConfig)}
        return GatedPixelCNNConfig(**{**shared, **changes})


@dataclass(frozen=True)
class SquareConfig(Unconditioned, Config):
    """The configuration of a network that reads square RGB pictures at two resolutions: wide, after
    space-to-depth by `patch`, and deep, half of that."""

    channels: ClassVar[int] = 3
    """Channels of a picture."""

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
    kind: ClassVar[str] = "tokenizer"
    network: ClassVar[str] = "pixelgen.models.tokenizer:Tokenizer"

    output_features: int = 8
    """Feature maps of full size before the last, thin convolution."""
    fine_features: int = 0
    """Feature maps of the decoder's fine stage, which has twice as many rows and columns as the
    wide stage and adds to the maps of full size. 0: there is none."""
    fine_blocks: int = 3
    """Residual blocks of the fine stage."""
    smoothing: float = 0.0
    """Share, 0 … 1, of a 3×3 binomial filter in what the decoder puts out: it takes away the grain
    of single pixels that perceptual losses and discriminators leave."""
    code_size: int = 8
    """Rows and columns of the grid of codes: those of the deep or of the wide stage. In the second
    case the deep stage is a branch that runs beside the wide one."""
    code_channels: int = 5
    """Codes per position."""
    levels: int = 8
    """Values that a code can take, at most 256: 0 … levels - 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("output_features", "code_channels"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(
            2 <= self.levels <= 256,  # codes are stored in bytes
            f"levels must be at least 2 and at most 256, not {self.levels}",
        )
        require(
            0 <= self.smoothing <= 1, f"smoothing must lie between 0 and 1, not {self.smoothing:g}"
        )
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


_NESTED = "a network of an ensemble cannot be an ensemble itself"


@dataclass(frozen=True)
class FaceEmbedderConfig(SquareConfig):
    """A convolutional network from aligned faces to points on a sphere (Schroff et al. 2015)."""

    model: ClassVar[str] = "face_embedder"
    kind: ClassVar[str] = "face-embedder"
    network: ClassVar[str] = "pixelgen.models.face_embedder:FaceEmbedder"

    wide_features: int = 96
    deep_features: int = 192
    deep_blocks: int = 3
    place_features: int = 32
    """Feature maps of every position of the deep stage that the last layer reads."""
    dropout: float = 0.0
    """Dropout on these."""
    embedding: int = 64
    """Dimensions of an embedding."""
    mirror: bool = False
    """After training, embed a face together with its mirror image."""
    ensemble: tuple[FaceEmbedderConfig, ...] = ()
    """Further networks: an embedding is the mean of theirs and of this one's, of length 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("place_features", "embedding"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(0 <= self.dropout < 1, "dropout must be at least 0 and below 1")
        for other in self.ensemble:
            require(
                (other.size, other.embedding) == (self.size, self.embedding),
                "the networks of an ensemble must have the same size and embedding",
            )
            require(not other.ensemble, _NESTED)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """See `Config`."""
        others = values.get("ensemble", ())
        if not isinstance(others, list | tuple) or not all(isinstance(o, dict) for o in others):
            raise ValueError("ensemble must be a list of configurations of face embedders")
        for other in others:  # before the next level is read, however deep they are
            require(not other.get("ensemble"), _NESTED)
        ensemble = tuple(cls.from_dict(other) for other in others)
        return super().checked({**values, "ensemble": ensemble})

    @property
    def layers(self) -> int:
        """Residual blocks in all."""
        return self.wide_blocks + self.deep_blocks


@dataclass(frozen=True)
class AutoencoderConfig(SquareConfig):
    """An auto-encoder with a deconvolutional and a PixelCNN decoder (van den Oord et al. 2016,
    section 3.4). The first decoder mirrors the encoder, with as many blocks."""

    model: ClassVar[str] = "autoencoder"
    kind: ClassVar[str] = "autoencoder"
    network: ClassVar[str] = "pixelgen.models.autoencoder:Autoencoder"

    size: int = 32
    place_features: int = 64
    """Feature maps of every position of the deep stage that the last layer reads."""
    output_features: int = 8
    """Feature maps of full size before the first decoder's last, thin convolution."""
    bottleneck: int = 100
    """Latent dimensions: the length of h."""
    inner: int = 0
    """The first `inner` dimensions of h are a bottleneck of their own: both decoders also learn to
    decode these alone (nested dropout: Rippel, Gelbart, Adams 2014). 0: there is none."""
    principal: bool = False
    """The encoder predicts the difference from the picture's scores on the principal components of
    the training set, of unit variance there, and the first decoder the difference from the picture
    that these scores reconstruct: both start as the best linear ones. Without it a tanh bounds
    h."""
    mean_channels: int = 0
    """Channels of a map that is computed from the first decoder's picture and conditions the
    PixelCNN, beside h (0: it does not see that picture)."""
    semantic: int = 0
    """The last `semantic` dimensions of h come from an encoder of their own and say what the
    picture shows, not where: a classifier supervises them, beside the decoders. They are a point on
    a sphere, with a mean square of 1. 0: there are none."""
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
    """The PixelCNN decoder. `to_dict` leaves out what follows from the other fields: channels,
    rows, columns, levels, and the sizes of its conditions."""

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
            actual = getattr(self.pixels, name)
            require(actual == value, f"pixels.{name} must be {value}, not {actual}")
        require(not self.pixels.classes, "pixels.classes must be 0: the condition is h")

    @property
    def layers(self) -> int:
        """Residual blocks and layers in all."""
        semantic = self.semantic_wide_blocks + self.semantic_deep_blocks if self.semantic else 0
        return 2 * (self.wide_blocks + self.deep_blocks) + semantic + self.pixels.layers

    @property
    def spatial(self) -> int:
        """Dimensions of h that say what lies where: all but the semantic ones."""
        return self.bottleneck - self.semantic

    @property
    def semantic_encoder(self) -> SquareConfig:
        """The configuration of the encoder of the semantic dimensions."""
        names = ("patch", "wide_features", "wide_blocks", "deep_features", "deep_blocks")
        try:
            return SquareConfig(
                size=self.size, **{name: getattr(self, f"semantic_{name}") for name in names}
            )
        except ValueError as error:
            raise ValueError(f"semantic encoder: {error}") from None

    @property
    def encoder_outputs(self) -> int:
        """Numbers that the encoder computes of a picture."""
        return self.spatial

    @property
    def bottlenecks(self) -> tuple[int, ...]:
        """Numbers of dimensions of h that the decoders can decode, in ascending order."""
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


def _pixels_of(size: int, bottleneck: int, mean_channels: int) -> dict[str, int]:
    """Fields of the PixelCNN decoder that follow from those of the auto-encoder."""
    picture = {"channels": 3, "height": size, "width": size, "levels": 256}
    return {**picture, "vector": bottleneck, "given_channels": mean_channels}


@dataclass(frozen=True)
class PixelVAEConfig(AutoencoderConfig):
    """A variational auto-encoder with a PixelCNN decoder (Gulrajani et al. 2016, PixelVAE).

    The encoder computes a Gaussian of h, from which h is drawn; the prior of h is a standard
    normal. `inner`, `principal` and `semantic` are of auto-encoders alone.
    """

    model: ClassVar[str] = "pixelvae"
    kind: ClassVar[str] = "pixelvae"
    network: ClassVar[str] = "pixelgen.models.pixelvae:PixelVAE"

    bottleneck: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("inner", "principal", "semantic"):
            require(not getattr(self, name), f'{name} requires model = "autoencoder"')

    @property
    def encoder_outputs(self) -> int:
        """A mean and a log-variance for each dimension of h."""
        return 2 * self.bottleneck


AnyConfig = GridConfig | TokenizerConfig | FaceEmbedderConfig | AutoencoderConfig

CONFIGS: dict[str, type[Config]] = {
    c.model: c
    for c in (
        PixelCNNConfig,
        PixelRNNConfig,
        PixelCNNPPConfig,
        GatedPixelCNNConfig,
        MultiScaleConfig,
        TokenizerConfig,
        FaceEmbedderConfig,
        AutoencoderConfig,
        PixelVAEConfig,
    )
}


PLUGINS = "pixelgen.networks"
"""The group of entry points by which installed packages name configurations of their networks."""


def register_network(config: type[_C]) -> type[_C]:
    """A decorator of the configuration of a network of your own: weights and recipes of this
    process may then name it, by `model`. A package that is to be known everywhere has an entry
    point of this name in the group `PLUGINS` instead. Raises ValueError for a name that is taken.
    """
    other = CONFIGS.setdefault(config.model, config)
    # The same class again, when a notebook runs its cell once more.
    if (other.__module__, other.__qualname__) != (config.__module__, config.__qualname__):
        raise ValueError(f"there is a network {config.model} already: {other.network}")
    CONFIGS[config.model] = config
    return config


def config_class(name: object) -> type[Config] | None:
    """The class of configurations that have the name `name`; None for an unknown one. Raises
    ValueError where the package that brings it cannot be imported."""
    if not isinstance(name, str):
        return None
    if name not in CONFIGS:
        from importlib.metadata import entry_points

        for plugin in entry_points(group=PLUGINS, name=name):
            try:
                register_network(plugin.load())
            except Exception as error:  # whatever the code of others raises
                raise ValueError(f"the network {name} ({plugin.value}) fails: {error}") from error
    return CONFIGS.get(name)


def config_from_dict(values: Mapping[str, Any]) -> AnyConfig:
    """The configuration that `values` describes; its "model" key names the class.

    Raises ValueError for an unknown model, unknown keys and bad values.
    """
    name = values.get("model")
    found = config_class(name)
    if found is None:
        raise ValueError(
            f"unknown model {name!r}, expected one of {', '.join(CONFIGS)}, or that of a package "
            "which is not installed"
        )
    return cast(AnyConfig, found.from_dict(values))
