"""Weights as one object that does whatever they can: `pixelgen.load`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from PIL import Image

from pixelgen.checkpoints import (
    DEFAULT_WEIGHTS,
    CheckpointConfig,
    LoadedCheckpoint,
    Source,
    class_labels,
    load_checkpoint,
)
from pixelgen.checkpoints.storage import config_of
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import (
    Fit,
    Photo,
    cut_around_hole,
    cut_hole,
    load_mask,
    load_photo,
    parse_box,
    parse_keep,
    square,
)
from pixelgen.imaging.hole import Box
from pixelgen.pipelines.class_pipeline import ClassPipeline
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.complete_pipeline import CompletePipeline
from pixelgen.pipelines.completion_request import CompletionRequest
from pixelgen.pipelines.conversion import (
    Picture,
    PictureCallback,
    Pictures,
    one_picture,
    pictures_of,
)
from pixelgen.pipelines.devices import pick_device
from pixelgen.pipelines.drawing import DrawingArguments, check_whole
from pixelgen.pipelines.image_sampler import OnStep
from pixelgen.pipelines.interpolate_pipeline import InterpolatePipeline, PathResult
from pixelgen.pipelines.interpolate_request import path_request
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline
from pixelgen.pipelines.portrait_request import PortraitRequest
from pixelgen.pipelines.reconstruct_pipeline import LONGEST, Cut, ReconstructPipeline, fit_photo
from pixelgen.pipelines.reconstruct_request import InterpolationRequest, ReconstructRequest
from pixelgen.pipelines.results import (
    CompletionResult,
    PortraitResult,
    ReconstructResult,
    SampleResult,
    ScoreResult,
)
from pixelgen.pipelines.sample_request import SampleRequest
from pixelgen.pipelines.score_pipeline import ScorePipeline
from pixelgen.pipelines.score_request import ScoreRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import Unpack

    from pixelgen.models.autoregressive import AutoregressiveModel, GridNetwork
    from pixelgen.models.face_embedder import FaceEmbedder
    from pixelgen.models.tokenizer import Tokenizer

T = TypeVar("T")


class Weights:
    """A model that was loaded, and all that it can do: `can` lists the methods that work.

    Photos are PIL pictures, which are taken as they are, or paths, whose EXIF rotation is applied;
    one or several. Tensors [C, H, W] or [N, C, H, W] and arrays [H, W], [H, W, C] or [N, H, W, C]
    of whole numbers 0 … 255 are photos too, with C = 1 or 3. Classes are numbers, names, WordNet
    ids or ranges ("207-210"), one or several. `drawing` is `seed` (by default a random one), `pick`
    (the number, from 1, of the only picture to draw, as it is among those of the same call without
    it), `batch_size` (the pictures do not depend on it), and the sampling options `temperature`,
    `top_p`, `guidance` and `guidance_schedule`, for classes `vector_temperature`, for classes and
    faces `candidates`; by default those of the weights. `on_step` is called with a
    `SamplingProgress` for every position of the grid. The same seed and options draw the same
    pictures as on the command line.

    Methods that draw or measure return a sequence, which also holds the time of the call, and of
    drawings the seed and the parameters. Every method raises PixelgenError, in one line, for what
    these weights cannot do and for photos that cannot be read; nothing is drawn then.
    """

    def __init__(
        self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu", ref: str = ""
    ) -> None:
        """`ref` is the name, folder or Hub id that the checkpoint was loaded by."""
        self.checkpoint = checkpoint
        self.device = device
        self.ref = ref or str(checkpoint.path)

    @classmethod
    def from_pretrained(
        cls,
        ref: str | Path | Source = DEFAULT_WEIGHTS,
        device: torch.device | str = "auto",
        *,
        token: str | None = None,
    ) -> Weights:
        """What `pixelgen.load` does."""
        target = pick_device(str(device))
        loaded = load_checkpoint(ref, token=token)
        return cls(loaded, target, "" if isinstance(ref, Source) else str(ref))

    @classmethod
    def from_network(
        cls,
        network: AutoregressiveModel,
        *,
        name: str = "network",
        labels: Sequence[int] = (),
        class_names: Sequence[str] = (),
        tokenizer: Tokenizer | None = None,
        embedder: FaceEmbedder | None = None,
    ) -> Weights:
        """A network in memory, on the device that it is on, with all that weights can do; nothing
        is copied. It is put into evaluation mode. `labels` and `class_names` are those of
        `pixelgen.save`, `tokenizer` decodes what a model of codes samples, `embedder` computes the
        condition vector of a model of faces. The network may be any that fulfils
        `AutoregressiveModel` of `pixelgen.models.autoregressive`.

        Raises UsageError for values that do not fit the network."""
        numbers, names = class_labels(network.config.classes, labels, class_names)
        model = cast("GridNetwork", network)
        try:
            config = config_of(model, tokenizer, embedder, numbers, names)
        except ValueError as error:
            raise UsageError(str(error)) from error
        network.eval()
        if tokenizer is not None:
            tokenizer.eval()
        if embedder is not None:
            embedder.eval()
        loaded = LoadedCheckpoint(model, tokenizer, embedder, config, Path(name), name, "")
        device = next((str(parameter.device) for parameter in network.parameters()), "cpu")
        return cls(loaded, device, name)

    def to(self, device: torch.device | str) -> Weights:
        """These weights, moved to another device (auto, cpu, cuda, cuda:N, mps). Raises
        PixelgenError for a missing device."""
        self.device = pick_device(str(device))
        loaded = self.checkpoint
        for network in (loaded.network, loaded.tokenizer, loaded.face_embedder, *loaded.others):
            if network is not None:
                network.to(self.device)
        return self

    def __repr__(self) -> str:
        return f"<Weights {self.name}, {self.config.kind}, can {', '.join(self.can) or 'nothing'}>"

    @property
    def name(self) -> str:
        """Bundled name, folder name, or Hub id."""
        return self.checkpoint.name

    @property
    def revision(self) -> str:
        """The exact revision: the Hub's commit, or a hash of the tensor files."""
        return self.checkpoint.revision

    @property
    def config(self) -> CheckpointConfig:
        """Everything that `config.json` says."""
        return self.checkpoint.config

    @property
    def classes(self) -> tuple[int, ...]:
        """Numbers of the classes that these weights know."""
        return self.config.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Their usual names, in the same order."""
        return tuple(map(self.config.classes.name, self.config.labels))

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
        label = next(iter(some), None)
        # A method is available where its request can be made.
        attempts: list[tuple[str, Callable[[], object]]] = [
            ("sample", lambda: SampleRequest.from_options(config, name, classes=some)),
            ("portrait", lambda: PortraitRequest.for_person(config, name, photos=1)),
            ("interpolate", lambda: path_request(config, name, classes=config.labels[:1] * 2)),
            ("interpolate", lambda: path_request(config, name, photos=2)),
            ("complete", lambda: CompletionRequest.from_options(config, name, classes=some)),
            (
                "score",
                lambda: ScoreRequest.from_options(config, name, label=label),
            ),
            ("reconstruct", lambda: ReconstructRequest.from_options(config, name)),
            ("encode", lambda: self.checkpoint.codec),
            ("decode", lambda: self.checkpoint.codec),
        ]
        return tuple(dict.fromkeys(job for job, attempt in attempts if _succeeds(attempt)))

    def sample(
        self,
        classes: int | str | Sequence[int | str] | None = None,
        n: int = 1,
        *,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> SampleResult:
        """`n` pictures of the first class, then of the second, and so on; without a class, `n`
        unconditional ones (section 2.3 of the paper)."""
        request = SampleRequest.from_options(
            self.config, self.name, classes=_several(classes), n=n, **drawing
        )
        return ClassPipeline(self.checkpoint, self.device).run(request, on_step)

    def portrait(
        self,
        photos: Pictures,
        n: int = 8,
        *,
        face: int | None = None,
        aligned: bool = False,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> PortraitResult:
        """`n` new portraits of the person in one or several photos (section 3.3): of each photo the
        largest face counts, or number `face` (from 1); `aligned` photos are cut-out faces already.
        For each portrait `candidates` are drawn, and the one most similar to the person is kept.
        Also raises InputError for photos without a face."""
        shown = pictures_of(photos)
        request = PortraitRequest.for_person(self.config, self.name, len(shown), n, **drawing)
        pipe = PortraitPipeline(self.checkpoint, self.device)
        crops = [pipe.crop(photo, face=face, aligned=aligned) for photo in shown]
        return pipe.run(request, crops, on_step)

    def interpolate(
        self,
        photos: Pictures = (),
        *,
        classes: Sequence[int | str] = (),
        steps: int = 9,
        slerp: bool = False,
        bottleneck: int | None = None,
        face: int | None = None,
        aligned: bool = False,
        fit: Fit = "crop",
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> PathResult:
        """`steps` pictures from the first class to the last, from face to face (Figure 5), or from
        picture to picture by the latent dimensions of an auto-encoder, both ends included.

        All are drawn with the same random numbers, so that neighbours differ by their condition
        alone. With weights of faces they are `Portrait`s: `slerp` follows the sphere of embeddings,
        `face` and `aligned` are those of `portrait`, and of `candidates` whole paths the one most
        similar to its sources is kept. With auto-encoders they are `Frame`s: `bottleneck` is the
        number of latent dimensions (by default the largest), and `fit` how photos become square:
        "crop" or "stretch".
        """
        shown = pictures_of(photos)
        face_options = {
            "slerp": slerp,
            "candidates": drawing.get("candidates") is not None,
            "face": face is not None,
            "aligned": aligned,
        }
        request = path_request(
            self.config,
            self.name,
            photos=len(shown),
            classes=_several(classes),
            steps=steps,
            slerp=slerp,
            bottleneck=bottleneck,
            face_options=[name for name, used in face_options.items() if used],
            **drawing,
        )
        if fit != "crop" and not isinstance(request, InterpolationRequest):
            raise UsageError("fit requires photos and weights of auto-encoders")
        sources: list[Image.Image] = []
        if isinstance(request, PortraitRequest):
            pipe = PortraitPipeline(self.checkpoint, self.device)
            sources = [pipe.crop(photo, face=face, aligned=aligned) for photo in shown]
        elif isinstance(request, InterpolationRequest):
            sources = [square(load_photo(photo), self.size[0], fit) for photo in shown]
        return InterpolatePipeline(self.checkpoint, self.device).run(request, sources, on_step)

    def complete(
        self,
        photo: Picture,
        *,
        mask: Photo | None = None,
        box: Box | None = None,
        keep: str | None = None,
        raw: bool = False,
        fit: Fit = "crop",
        classes: int | str | Sequence[int | str] | None = None,
        n: int = 1,
        refine: int = 1,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> CompletionResult:
        """`photo` with a part filled in: `n` times for each class, or without a class (Figure 1 of
        the first PixelCNN paper, arXiv:1601.06759).

        The part is what `mask`, a picture as large as the photo, hides; what lies in `box` (x, y,
        width, height in pixels of the photo); and what `keep` ("top:50%") leaves of the photo; at
        least one of these. A mask hides what is white in it, or what is erased from it, if it is
        the photo, or what is painted, if it is white paint on a transparent layer: the result says
        which, and a warning that all or nothing is hidden. Of `refine` candidates one is chosen by
        how likely the known values below and after the part are; see `CompletePipeline`.

        The model completes a square of the photo around the part (see
        `pixelgen.imaging.hole.square_around`), as small as its own pictures: `image` of each item.
        Its pixels are filled where at least half of what they cover is in the part. `photo` of each
        item is the whole photo at its own size, its pixels outside of the part unchanged. `fit`
        "stretch" takes a box of the shape of the part instead of a square. With `raw` the photo
        itself is made square as `fit` says ("crop" its middle, or "stretch"), `keep` is about that
        square, and only the small `image` is made.
        """
        if mask is None and box is None and keep is None:
            raise UsageError("one part must be named: mask, box or keep")
        request = CompletionRequest.from_options(
            self.config, self.name, classes=_several(classes), n=n, refine=refine, **drawing
        )
        picture = one_picture(photo)
        hole = (cut_hole if raw else cut_around_hole)(
            load_photo(picture) if raw else load_mask(picture),
            self.size[1],
            fit,
            mask=None if mask is None else load_mask(mask),
            box=None if box is None else parse_box(box),
            keep=None if keep is None else parse_keep(str(keep)),
        )
        if mask is not None and hole.extreme is not None:
            warnings.warn(hole.extreme, stacklevel=2)
        return CompletePipeline(self.checkpoint, self.device).run(request, hole, on_step)

    def score(
        self,
        photos: Pictures,
        *,
        label: int | str | None = None,
        classify: bool = False,
        fit: Fit = "crop",
        batch_size: int = 32,
        importance_samples: int | None = None,
        progress: PictureCallback | None = None,
    ) -> ScoreResult:
        """The exact likelihood of photos, given the class `label` or without a class: in all, per
        value, and place by place. They are made square as `fit` says ("crop" or "stretch"). Of
        weights with a tokenizer the figures are those of the codes. With `classify` the classes
        that explain each photo best are ranked, by Bayes' rule, which takes a pass of the network
        for every class. `progress(done, total)` counts these passes.

        Of a PixelVAE the figures are upper bounds, by `importance_samples` (8) draws of h: more of
        them come nearer to the likelihood, and take as many passes of the network."""
        request = ScoreRequest.from_options(
            self.config,
            self.name,
            label=label,
            classify=classify,
            batch_size=batch_size,
            importance_samples=importance_samples,
        )
        shown = pictures_of(photos)
        return ScorePipeline(self.checkpoint, self.device).run(request, shown, fit, progress)

    def reconstruct(
        self,
        photos: Pictures,
        n: int | None = None,
        *,
        bottlenecks: int | Sequence[int] | None = None,
        cut: Cut = "crop",
        longest: int | None = None,
        code_steps: int | None = None,
        on_step: OnStep | None = None,
        **drawing: Unpack[DrawingArguments],
    ) -> ReconstructResult:
        """Photos reconstructed from a few numbers each (Figure 6), one photo after the other, for
        each of `bottlenecks` (by default all of the weights), the smallest first: the mean of the
        pictures that have this h, and `n` samples (3). With a tokenizer: encoded and decoded, the
        codes improved by `code_steps` gradient steps (by default 6 with ImageNet's classes; 0:
        those of the encoder).

        `cut` says how photos are fitted to the network: their middle ("crop"), squeezed
        ("stretch"), or in patches ("patches"), the longer side then at most `longest` pixels long
        (by default 256).
        """
        request = ReconstructRequest.from_options(
            self.config,
            self.name,
            bottlenecks=_several(bottlenecks),
            n=n,
            code_steps=code_steps,
            **drawing,
        )
        if longest is not None and cut != "patches":
            raise UsageError("longest requires patches", 'cut="patches"')
        longest = LONGEST if longest is None else check_whole("longest", longest, 1)
        shown = pictures_of(photos)
        sources = [fit_photo(load_photo(photo), self.size[1], cut, longest) for photo in shown]
        return ReconstructPipeline(self.checkpoint, self.device).run(request, sources, on_step)

    def encode(self, photos: Pictures, fit: Fit = "crop", code_steps: int = 0) -> CodesFile:
        """Photos, made square as `fit` says ("crop" or "stretch"), as grids of codes: `.codes`,
        int64 [N, C, h, w] of 0 … `.levels` - 1; `.save("pets.safetensors")` writes them to a
        file. `code_steps` gradient steps per photo, six for instance, make them keep more of it."""
        shown = pictures_of(photos)
        files = [_file_name(photo) for photo in shown]
        pipe = CodecPipeline(self.checkpoint, self.device)
        names = files if any(files) else ()
        return pipe.encode_file(shown, fit, weights=self.ref, files=names, code_steps=code_steps)

    def decode(self, codes: Tensor | CodesFile | str | Path) -> list[Image.Image]:
        """RGB pictures of codes: of a tensor of whole numbers [N, C, h, w], of what `encode`
        returns, or of a file. A picture does not depend on the others: `codes[1:2]` gives the
        second one alone. Also raises InputError for codes of another tokenizer."""
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
    cuda, cuda:N, mps). `token` is the Hub's, by default that of HF_TOKEN or `hf auth login`.

    Raises UsageError for names that do not exist, WeightsError for weights that the Hub does not
    give, PixelgenError for broken weights and missing devices.

    Example: `pixelgen.load("imagenet32").sample(classes=[207], n=4, seed=1)[0].image`.
    """
    return Weights.from_pretrained(ref, device, token=token)


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PixelgenError:
        return False
    return True


def _several(values: T | Iterable[T] | None) -> list[T]:
    """One, several or none as a list; a text is one."""
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [values]
    return list(values)


def _file_name(photo: object) -> str:
    """The name of the photo's file, without its folder; empty if it comes from none."""
    path = getattr(photo, "filename", "") if isinstance(photo, Image.Image) else photo
    return Path(path).name if isinstance(path, str | Path) else ""
