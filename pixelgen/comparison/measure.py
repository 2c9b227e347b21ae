"""The figures of trained models and of closed forms; what was measured once is read again."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pixelgen.checkpoints.instantiate import initialised_network, memory_size
from pixelgen.comparison.entries import Entry
from pixelgen.comparison.slices import RUNS, run_folder
from pixelgen.data import ImageData, cut, evenly_spread
from pixelgen.errors import InputError, PixelgenError, counted
from pixelgen.evaluation.results import BitsPerDim, result_from_dict
from pixelgen.files import read_file, write_atomically
from pixelgen.imaging import read_image
from pixelgen.imaging.grid import stack_rows
from pixelgen.json_text import parse_json
from pixelgen.metrics.gaussian import fit_gaussian
from pixelgen.metrics.latents import conditions_given
from pixelgen.metrics.progress import OnNote
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.random_streams import RandomStream, stream_generator
from pixelgen.sampling import SAMPLERS, draw_uniforms, sample
from pixelgen.training.batches import hold_out
from pixelgen.training.recipe import ComputeRecipe, Recipe
from pixelgen.training.sample_sheets import picture
from pixelgen.training.state import load_weights, part_of, read_state
from pixelgen.training.tasks import task_of
from pixelgen.training.training_data import load_pictures

TRAIN_PICTURES = 2000
"""Training pictures that are measured, at most."""
_AT_ONCE = 500
"""Pictures that are measured before others can be interrupted."""
_LEVELS = 256
_MATRICES = 5
"""Matrices of the size of the covariance that fitting a Gaussian has in memory."""
_LARGEST = 2**20
_FIGURES, _SAMPLES = "figures", "samples"
FOLDERS = (RUNS, _FIGURES, _SAMPLES)
"""Folders in that of a comparison."""


@dataclass(frozen=True)
class EvaluationSplit:
    """What models are measured on."""

    data: str
    name: str
    limit: int | None
    """Test pictures at most, evenly spread; None: all."""
    digest: str = ""
    """`ImageData.digest` of the test pictures."""


@dataclass(frozen=True)
class Measured:
    """The figures of one model."""

    test: BitsPerDim
    train: BitsPerDim
    test_pictures: int
    train_pictures: int
    parameters: int
    seconds_per_sample: float | None = None
    sampler: str = ""


def unseen_pictures(recipe: Recipe, split: EvaluationSplit, note: OnNote) -> ImageData:
    """The test pictures in the form that a recipe's model takes. Raises as `load_images` does, also
    for unreadable ones, even if the training leaves these out."""
    data = replace(recipe.data, path=split.data, split=split.name, skip_unreadable=False)
    images = load_pictures(replace(recipe, data=data), limit=split.limit, note=note)
    return replace(images, images=_cropped(images.images, recipe))


def _cropped(images: Tensor, recipe: Recipe) -> Tensor:
    crop = recipe.data.crop
    return cut(images, crop).contiguous() if crop else images


def measure_trained(
    entry: Entry,
    folder: Path,
    split: EvaluationSplit,
    samples: int,
    device: torch.device,
    note: OnNote,
) -> Measured:
    """The figures of a model's averaged weights, and a sheet of `samples` pictures. Raises
    PixelgenError for a run that cannot be read, and where its network gives no numbers."""
    run, sheet = run_folder(folder, entry), sample_sheet(folder, entry.name)
    state, tensors = read_state(run)
    key = {
        "step": state.counters.step,
        "recipe": entry.recipe.to_dict(),
        "digest": entry.data_digest,
        "samples": samples,
    }

    def measure() -> Measured:
        note(f"measuring {entry.name}")
        # As evaluations of weights: not in the precision of the training.
        recipe = replace(entry.recipe, compute=ComputeRecipe())
        network = initialised_network(recipe.model)
        load_weights(network, part_of(tensors, "ema"), str(run))
        network.to(device).eval()
        task = task_of(recipe)

        def bits(images: ImageData) -> BitsPerDim:
            found, rows = [], entry.rows(images)
            for start in range(0, len(images), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                condition = None if rows is None else Condition(classes=rows[part])
                found.append(task.held_out(network, images.images[part], condition))
            every = torch.cat(found)
            if every.isnan().any():
                raise PixelgenError(f"the network of {run} gives NaN: its training diverged")
            return BitsPerDim.of(every)

        unseen = unseen_pictures(recipe, split, note)
        seen = _training_rows(recipe, split, note)
        seconds, sampler = None, ""
        if samples:
            note(f"drawing {samples} samples of {entry.name}")
            began = time.perf_counter()
            drawn, sampler = draw_samples(network, recipe, samples)
            seconds = (time.perf_counter() - began) / samples
            sheet.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(sheet, lambda part: picture(drawn, samples).save(part, format="png"))
        return Measured(
            bits(unseen), bits(seen), len(unseen), len(seen), entry.parameters, seconds, sampler
        )

    return _once(folder, entry.name, split, key, measure, sheet if samples else None)


def sample_sheet(folder: Path, name: str) -> Path:
    """Where the samples of a model are, beside each other."""
    return folder / _SAMPLES / f"{name}.png"


def _training_rows(recipe: Recipe, split: EvaluationSplit, note: OnNote) -> ImageData:
    """Some of the training pictures, evenly spread, none of them held out."""
    images = load_pictures(recipe, note=note)
    kept, _ = hold_out(len(images), recipe.data.holdout, recipe.seed)
    count = min(TRAIN_PICTURES, split.limit or TRAIN_PICTURES)
    chosen = images.subset(kept[evenly_spread(len(kept), count)])
    return replace(chosen, images=_cropped(chosen.images, recipe))


def draw_samples(network: nn.Module, recipe: Recipe, count: int) -> tuple[Tensor, str]:
    """`count` pictures at temperature 1, and the kind of the sampler: of classes evenly spread over
    those of the model, or of latents h from a standard normal."""
    generator = stream_generator(recipe.seed, RandomStream.SAMPLE_SHEET)
    condition = None
    if isinstance(network, Autoencoder):
        h = torch.randn(count, network.config.bottleneck, generator=generator)
        with torch.inference_mode():
            condition = conditions_given(network, h)(slice(None))
        network = network.pixels
    elif recipe.model.classes:
        condition = Condition(classes=torch.arange(count) * recipe.model.classes // count)
    uniforms = draw_uniforms(generator, count, network.config)  # type: ignore[arg-type]
    drawn = sample(network, condition, uniforms)  # type: ignore[arg-type]
    return drawn, "incremental" if type(network) in SAMPLERS else "naive"


def measure_uniform(recipe: Recipe, split: EvaluationSplit, note: OnNote) -> Measured:
    """Log2 of the values' levels: every picture costs the same."""
    bits = BitsPerDim(math.log2(_LEVELS), 0.0)
    unseen, seen = unseen_pictures(recipe, split, note), _training_rows(recipe, split, note)
    return Measured(bits, bits, len(unseen), len(seen), 0)


def measure_gaussian(
    recipe: Recipe, digest: str, folder: Path, split: EvaluationSplit, note: OnNote
) -> Measured | None:
    """The bounds of a Gaussian with full covariance, fitted to the training pictures, of this
    `digest`, but for those held out. None where its covariance takes more than the memory. Raises
    PixelgenError for fewer than two pictures."""
    size = ("channels", "height", "width")
    shape = {name: getattr(recipe.model, name) for name in size}
    needed, memory = _MATRICES * 8 * math.prod(shape.values()) ** 2, memory_size()
    if memory is not None and needed > memory:
        note(f"no row of the Gaussian: its covariance needs {needed / 1e9:.0f} GB of memory")
        return None
    key = {"data": asdict(recipe.data), "digest": digest, "seed": recipe.seed, **shape}

    def measure() -> Measured:
        images = load_pictures(recipe, note=note)
        kept, _ = hold_out(len(images), recipe.data.holdout, recipe.seed)
        pixels = _cropped(images.images[kept], recipe)
        note(f"fitting a Gaussian to {counted(len(pixels), 'picture')}")
        try:
            gaussian = fit_gaussian(pixels)
        except ValueError as error:
            raise PixelgenError(f"no Gaussian fits {recipe.data.path}: {error}") from error
        unseen, seen = unseen_pictures(recipe, split, note), _training_rows(recipe, split, note)
        values = len(gaussian.mean)
        return Measured(
            BitsPerDim.of(gaussian.bits_per_dim(unseen.images)),
            BitsPerDim.of(gaussian.bits_per_dim(seen.images)),
            len(unseen),
            len(seen),
            values + values * (values + 1) // 2,
        )

    return _once(folder, "gaussian", split, key, measure)


def stack_sheets(folder: Path, names: Sequence[str], path: Path) -> None:
    """Writes the samples of models as one sheet, a row each."""
    stacked = stack_rows([[read_image(sample_sheet(folder, name))] for name in names])
    write_atomically(path, lambda part: stacked.save(part, format="png"))


def _once(
    folder: Path,
    name: str,
    split: EvaluationSplit,
    key: dict[str, Any],
    measure: Callable[[], Measured],
    sheet: Path | None = None,
) -> Measured:
    """What `measure` returns, or returned in an earlier call with the same key for the same
    pictures, if the picture `sheet` of that call is still there."""
    described = asdict(split)
    pictures = described.pop("digest")
    text = json.dumps({**key, "split": described}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = folder / _FIGURES / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError, InputError):
        saved = parse_json(read_file(path, _LARGEST).decode())
        same = saved["of"] == digest and saved.get("pictures", pictures) == pictures
        if same:
            if sheet is not None:
                read_image(sheet)
            return result_from_dict(Measured, saved["figures"])
    measured = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = json.dumps({"of": digest, "pictures": pictures, "figures": asdict(measured)}, indent=1)
    write_atomically(path, saved.encode())
    return measured
