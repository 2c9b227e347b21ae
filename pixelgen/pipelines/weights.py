"""Weights as one object that does whatever they can: `pixelgen.load`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from pixelgen.checkpoints import (
    DEFAULT_WEIGHTS,
    CheckpointConfig,
    LoadedCheckpoint,
    Source,
    load_checkpoint,
)
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import Fit, Photo
from pixelgen.imaging.hole import Box
from pixelgen.pipelines.class_pipeline import ClassPipeline
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.complete_pipeline import CompletePipeline
from pixelgen.pipelines.devices import pick_device
from pixelgen.pipelines.image_sampler import Progress
from pixelgen.pipelines.interpolate_pipeline import InterpolatePipeline, path_request
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline, PortraitResult
from pixelgen.pipelines.reconstruct_pipeline import (
    Cut,
    Reconstruction,
    ReconstructPipeline,
)
from pixelgen.pipelines.reconstruct_request import ReconstructRequest
from pixelgen.pipelines.request import (
    CompletionRequest,
    DrawingOptions,
    PortraitRequest,
    SampleRequest,
)
from pixelgen.pipelines.score_pipeline import Score, ScorePipeline, ScoreRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import Unpack

Item = TypeVar("Item")
OnStep = Callable[[Progress], None]
"""Called at the start and after every position of the grid."""


@dataclass(frozen=True)
class Picture:
    """A picture that a model drew."""

    image: Image.Image
    """RGB, or grey where the model draws one channel, 0–255."""
    seed: int
    """Of the call that drew it: the same call with this seed draws the same pictures again, on the
    same kind of device."""
    bits_per_dim: float
    """-log2 p(picture | what it was asked to show), in bits per value that the model draws (pixel
    and channel, or code), of the model itself: at temperature 1, without guidance or top-p."""
    label: int | None
    """ILSVRC index of its class; None where it has none, or lies between two."""


@dataclass(frozen=True)
class Portrait(Picture):
    """A picture of a person."""

    similarity: float
    """Cosine of its embedding with the one that it was drawn from, -1 … 1."""
    sources: list[Image.Image]
    """The face in every photo, as the model saw it."""


@dataclass(frozen=True)
class Completion(Picture):
    """A photo with a hole that was filled in."""

    original: Image.Image
    """The photo as the model would see it."""
    masked: Image.Image
    """The same with what was drawn in grey."""
    effective: float
    """Among how many candidates the choice effectively was, 1 … `refine`."""


class Weights:
    """A model that was loaded, and all that it can do: `can` lists the methods that work.

    Photos are PIL pictures, which are taken as they are, or paths, of which the camera's turn is
    undone; one or several. Classes are ILSVRC numbers, WordNet ids, names or ranges ("207-210"),
    one or several. `drawing` is `seed` (a missing one is drawn), `temperature`, `top_p`,
    `guidance`, for classes `vector_temperature` (left out: the weights' own defaults) and
    `batch_size` (the pictures do not depend on it). `on_step` is called with a `Progress` for every
    position of the grid. The same seed and options give the pictures that the command line gives.

    Every method raises PixelgenError, in one line, for what these weights cannot do and for photos
    that cannot be read; nothing is drawn then.
    """

    def __init__(
        self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu", ref: str = ""
    ) -> None:
        """`ref` is what `resolve_weights` found the checkpoint by."""
        self.checkpoint = checkpoint
        self.device = device
        self.ref = ref or str(checkpoint.path)

    def __repr__(self) -> str:
        return f"<Weights {self.name}, {self.config.kind}, can {', '.join(self.can) or 'nothing'}>"

    @property
    def name(self) -> str:
        """Bundled name, folder name, or Hub id."""
        return self.checkpoint.name

    @property
    def revision(self) -> str:
        """What these weights are exactly: the Hub's commit, or a hash of the tensor files."""
        return self.checkpoint.revision

    @property
    def config(self) -> CheckpointConfig:
        """Everything that `config.json` says."""
        return self.checkpoint.config

    @property
    def classes(self) -> tuple[int, ...]:
        """ILSVRC indices of the classes that these weights know."""
        return self.config.labels

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of their pictures, in pixels."""
        _, height, width = self.config.image_shape
        return width, height

    @property
    def can(self) -> tuple[str, ...]:
        """The methods that these weights are for."""
        config, name = self.config, self.name
        some = () if config.unconditional else config.labels[:1]
        # What a method checks first is also what tells whether the weights have it.
        asks: list[tuple[str, Callable[[], object]]] = [
            ("sample", lambda: SampleRequest.make(config, name, classes=some)),
            ("portrait", lambda: PortraitRequest.of_person(config, name, photos=1)),
            ("interpolate", lambda: path_request(config, name, classes=config.labels[:1] * 2)),
            ("interpolate", lambda: path_request(config, name, photos=2)),
            ("complete", lambda: CompletionRequest.make(config, name, classes=some)),
            ("score", lambda: ScoreRequest.make(config, name, label=next(iter(some), None))),
            ("reconstruct", lambda: ReconstructRequest.make(config, name)),
            ("encode", lambda: self.checkpoint.codec),
            ("decode", lambda: self.checkpoint.codec),
        ]
        return tuple(dict.fromkeys(job for job, ask in asks if _allowed(ask)))

    def sample(
        self,
        classes: int | str | Sequence[int | str] | None = None,
        n: int = 1,
        *,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> list[Picture]:
        """`n` pictures of the first class, then of the second, and so on; without a class, `n` of
        whatever the model likes (section 2.3 of the paper)."""
        made = ClassPipeline(self.checkpoint, self.device)(
            _several(classes), n, on_step=on_step, **drawing
        )
        each = zip(made.images, made.bits_per_dim, made.classes, strict=True)
        return [Picture(image, made.seed, bits, label) for image, bits, label in each]

    def portrait(
        self,
        photos: Photo | Sequence[Photo],
        n: int = 8,
        *,
        candidates: int | None = None,
        face: int | None = None,
        aligned: bool = False,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> list[Portrait]:
        """`n` new portraits of the person in one or several photos (section 3.3): of each photo the
        largest face counts, or number `face` (from 1); `aligned` photos are cut-out faces already.
        For each portrait some `candidates` are drawn (left out: the weights' own default), and the
        nearest to the person is kept. Also raises PixelgenError for photos without a face."""
        made = PortraitPipeline(self.checkpoint, self.device)(
            _several(photos),
            n,
            candidates=candidates,
            face=face,
            aligned=aligned,
            on_step=on_step,
            **drawing,
        )
        return _portraits(made)

    def interpolate(
        self,
        photos: Sequence[Photo] = (),
        *,
        classes: Sequence[int | str] = (),
        steps: int = 9,
        slerp: bool = False,
        bottleneck: int | None = None,
        candidates: int | None = None,
        face: int | None = None,
        aligned: bool = False,
        fit: Fit = "crop",
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> list[Picture]:
        """`steps` pictures from the first class to the last, from face to face (Figure 5), or from
        picture to picture by the numbers that auto-encoders keep of them, both ends included.

        All are drawn with the same random numbers. With weights of faces they are `Portrait`s:
        `slerp` goes along the sphere of embeddings, `face` and `aligned` are those of `portrait`,
        and of some `candidates` of the whole way the most like its places is kept.
        With auto-encoders `bottleneck` is how many numbers are kept (left out: the most), and `fit`
        how photos become square: "crop" or "stretch".
        """
        made = InterpolatePipeline(self.checkpoint, self.device)(
            _several(photos),
            classes=_several(classes),
            steps=steps,
            slerp=slerp,
            bottleneck=bottleneck,
            candidates=candidates,
            face=face,
            aligned=aligned,
            fit=fit,
            on_step=on_step,
            **drawing,
        )
        if isinstance(made, PortraitResult):
            return [*_portraits(made)]
        each = zip(made.images, made.bits_per_dim, strict=True)
        return [Picture(image, made.seed, bits, None) for image, bits in each]

    def complete(
        self,
        photo: Photo,
        *,
        mask: Photo | None = None,
        box: Box | None = None,
        keep: str | None = None,
        fit: Fit = "crop",
        classes: int | str | Sequence[int | str] | None = None,
        n: int = 1,
        refine: int = 1,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> list[Completion]:
        """`photo`, made square as `fit` says ("crop" or "stretch"), with a part drawn anew: `n`
        times for each class, or without a class (Figure 1 of the first PixelCNN paper,
        arXiv:1601.06759).

        The part is what `mask`, a picture as large as the photo, shows in white, what lies in `box`
        (x, y, width, height in pixels of the photo), and what `keep` ("top:50%") leaves; at least
        one of these. Of `refine` candidates the one is taken that goes best with what is known
        below and after the part; see `CompletePipeline`.
        """
        if mask is None and box is None and keep is None:
            raise UsageError("one part must be named: mask, box or keep")
        made = CompletePipeline(self.checkpoint, self.device)(
            photo,
            mask=mask,
            box=box,
            keep=keep,
            fit=fit,
            classes=_several(classes),
            n=n,
            refine=refine,
            on_step=on_step,
            **drawing,
        )
        each = zip(made.images, made.bits_per_dim, made.classes, made.effective, strict=True)
        return [
            Completion(image, made.seed, bits, label, made.original, made.masked, effective)
            for image, bits, label, effective in each
        ]

    def score(
        self,
        photos: Photo | Sequence[Photo],
        *,
        label: int | str | None = None,
        classify: bool = False,
        fit: Fit = "crop",
        batch_size: int = 32,
    ) -> list[Score]:
        """How surprising photos are, exactly, given the class `label` or without a class: in all,
        per value, and place by place. They are made square as `fit` says ("crop" or "stretch"). Of
        weights with a tokenizer the figures are those of the codes. With `classify` the classes
        that explain each photo best are told too, by Bayes' rule; that takes a pass of the network
        for every class."""
        pipe = ScorePipeline(self.checkpoint, self.device)
        asked: list[Photo] = _several(photos)
        return pipe(asked, label=label, classify=classify, fit=fit, batch_size=batch_size).scores

    def reconstruct(
        self,
        photos: Photo | Sequence[Photo],
        n: int | None = None,
        *,
        bottlenecks: int | Sequence[int] | None = None,
        cut: Cut = "crop",
        longest: int | None = None,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> list[Reconstruction]:
        """Photos made anew from a few numbers each (Figure 6), one photo after the other, for each
        of `bottlenecks` (left out: all of the weights), the smallest first: the mean of what these
        numbers may be of, and `n` samples (3). With a tokenizer: what is left on the way to codes
        and back.

        `cut` says how photos come to the network: as their middle ("crop"), squeezed ("stretch"),
        or piece by piece ("patches"), the longer side then at most `longest` pixels long (left out:
        256).
        """
        made = ReconstructPipeline(self.checkpoint, self.device)(
            _several(photos),
            n,
            bottlenecks=_several(bottlenecks),
            cut=cut,
            longest=longest,
            on_step=on_step,
            **drawing,
        )
        return [one for row in made.made for one in row]

    def encode(self, photos: Photo | Sequence[Photo], fit: Fit = "crop") -> CodesFile:
        """Photos, made square as `fit` says ("crop" or "stretch"), as grids of codes: `.codes`,
        int64 [N, C, h, w] of 0 … `.levels` - 1; `.save("pets.safetensors")` writes what
        `pixelgen encode` writes."""
        asked: list[Photo] = _several(photos)
        files = [_file_name(photo) for photo in asked]
        pipe = CodecPipeline(self.checkpoint, self.device)
        return pipe.encode_file(asked, fit, weights=self.ref, files=files if any(files) else ())

    def decode(self, codes: Tensor | CodesFile | str | Path) -> list[Image.Image]:
        """RGB pictures of codes: of a tensor of whole numbers [N, C, h, w], of what `encode` gives,
        or of a file. Also raises PixelgenError (exit code 3) for codes of another tokenizer."""
        pipe = CodecPipeline(self.checkpoint, self.device)
        if isinstance(codes, str | Path):
            codes = CodesFile.load(expanded(codes))
        return pipe.decode(codes)


def load(
    ref: str | Path | Source = DEFAULT_WEIGHTS,
    device: torch.device | str = "auto",
    *,
    token: str | None = None,
) -> Weights:
    """Weights by bundled name, folder, or Hub id `owner/name[@revision]`, on `device` (auto, cpu,
    cuda, cuda:N, mps). `token` is one of the Hub's, else that of HF_TOKEN or `hf auth login` is
    used.

    Raises PixelgenError where either is not to be had: exit code 2 for names that are not there, 4
    for weights that the Hub does not give, 1 for broken weights and missing devices.

    Example: `pixelgen.load("imagenet32").sample(classes=[207], n=4, seed=1)[0].image`.
    """
    target = pick_device(str(device))
    loaded = load_checkpoint(ref, token=token)
    return Weights(loaded, target, "" if isinstance(ref, Source) else str(ref))


def _allowed(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except PixelgenError:
        return False
    return True


def _portraits(made: PortraitResult) -> list[Portrait]:
    each = zip(made.images, made.bits_per_dim, made.similarity, strict=True)
    return [
        Portrait(image, made.seed, bits, None, near, made.sources) for image, bits, near in each
    ]


def _several(given: Item | Iterable[Item] | None) -> list[Item]:
    """One, several or none as a list; a text is one."""
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def _file_name(photo: object) -> str:
    """What the file of a photo is called, without its folder; nothing if it comes from none."""
    where = getattr(photo, "filename", "") if isinstance(photo, Image.Image) else photo
    return Path(where).name if isinstance(where, str | Path) else ""
