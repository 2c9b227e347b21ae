"""Export the weights of a training run as a checkpoint folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.checkpoints.layout import (
    EMBEDDER_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    autoencoder_file,
)
from pixelgen.checkpoints.replacement import is_left_over
from pixelgen.checkpoints.storage import StorageType, storage_types
from pixelgen.data import IMAGE_COLUMN
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.evaluation.dataset import load_matching_images
from pixelgen.evaluation.results import EvaluationReport
from pixelgen.files import public_path, read_file
from pixelgen.models import AutoencoderConfig
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.publishing.local_paths import public_config, without_local_paths
from pixelgen.publishing.model_card import (
    SHEET,
    Training,
    card_from_config,
    card_of,
    read_evaluation,
)
from pixelgen.publishing.trained_run import TrainedRun
from pixelgen.training.embedder_alignment import ALIGNMENT_FACES, average_embedders
from pixelgen.training.state import state_path
from pixelgen.training.submodels import (
    EMBEDDER,
    TOKENIZER,
    run_embedder,
    run_tokenizer,
    submodel_histories,
    submodel_history,
)

_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_SHEET = 2**26  # bytes


def export(
    run: Path,
    folder: Path,
    *,
    others: Sequence[Path] = (),
    evaluation: Path | None = None,
    sheet: Path | None = None,
    tokenizer: str | None = None,
    storage: StorageType | None = None,
    tokenizer_storage: StorageType | None = None,
    smoothing: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the averaged weights of `run` as the checkpoint `folder`.

    `others` are runs of auto-encoders with other bottlenecks, for the same folder. `evaluation`,
    the JSON of `EvaluationReport.to_dict`, and `sheet`, a PNG of samples, go into the model card.
    The weights `tokenizer` replace the one that a model of codes was trained with: the encoder must
    be the same, the decoder may be better. `storage` is how the model is stored, "int8" in half the
    space, and `tokenizer_storage` how its tokenizer is; both are "float16" unless they are given.
    `smoothing` replaces that of the tokenizer (`TokenizerConfig`). Paths of this computer are left
    out. Raises PixelgenError for a run without a state, runs that do not belong together, a folder
    in use, a tokenizer of other codes, and options of a tokenizer where there is none.
    """
    runs = _in_order([TrainedRun.read(path) for path in (run, *others)])
    check_folder(folder, overwrite)
    _check_labels(runs[0])
    report = None if evaluation is None else read_evaluation(evaluation)
    sheet_png = None if sheet is None else _read_sheet(sheet)
    first = runs[0]
    recipe = first.recipe
    codec = run_tokenizer(first.folder) if recipe.data.tokenizer else None
    parts = submodel_histories(first.folder)
    if tokenizer is not None:
        other = _same_codes(codec, tokenizer)
        codec, parts[TOKENIZER] = other.codec, submodel_history(other.config, TOKENIZER)
    if smoothing is not None:
        _smooth(first.model if codec is None else codec, smoothing)
    autoencoders = [run.model for run in runs[1:] if isinstance(run.model, Autoencoder)]
    files = [WEIGHTS_FILE, *(autoencoder_file(each.config.bottleneck) for each in autoencoders)]
    files += [] if codec is None else [TOKENIZER_FILE]
    types = _changed_types(dict.fromkeys(files, "float16"), storage, tokenizer_storage)
    embedder = run_embedder(first.folder) if recipe.data.embedder else None
    facts = [without_local_paths(run.facts()) for run in runs]
    parts = without_local_paths(parts)
    training = facts[0] | ({"others": facts[1:]} if facts[1:] else {})
    if parts:
        training["parts"] = parts
    if report is not None:
        training["evaluation"] = report.to_dict()
    shown = recipe.model if codec is None else codec.config
    vectors = recipe.model.vector_components > 0
    card = card_of(
        folder.resolve().name,
        [Training(run.recipe, of_run) for run, of_run in zip(runs, facts, strict=True)],
        first.state.class_names or first.state.labels,
        (shown.height, shown.width),
        report,
        parts,
        sheet is not None,
    )
    save_checkpoint(
        folder,
        first.model,
        tokenizer=codec,
        embedder=embedder,
        others=autoencoders,
        labels=first.state.labels,
        class_names=first.state.class_names,
        sampling=recipe.sampling,
        training=training,
        data={
            "path": public_path(recipe.data.path),
            "split": recipe.data.split,
            "size": recipe.data.size,
            "crop": recipe.data.crop,
            "label": recipe.data.label,
            **({"image": recipe.data.image} if recipe.data.image != IMAGE_COLUMN else {}),
            **({"fit": recipe.data.fit} if recipe.data.fit else {}),
            **({"features_scale": recipe.data.features_scale} if vectors else {}),
        },
        card_text=str(card),
        dtype=types,
        extra={} if sheet_png is None else {SHEET: sheet_png},
        check=_last_check(folder, overwrite, report, evaluation),
    )
    _drop_old_sheet(folder, sheet_png)
    return folder


def export_weights(
    weights: str,
    folder: Path,
    *,
    evaluation: Path | None = None,
    sheet: Path | None = None,
    tokenizer: str | None = None,
    storage: StorageType | None = None,
    tokenizer_storage: StorageType | None = None,
    smoothing: float | None = None,
    ensemble: Sequence[str] = (),
    faces: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes `weights` (bundled name, folder or Hub id) as the checkpoint `folder`, with a model
    card of their own history and the figures of `evaluation` instead of those that they have.

    `evaluation`, `sheet`, `tokenizer` and `smoothing` are those of `export`, and so is what is
    raised. What `storage` and `tokenizer_storage` do not change is stored as it was, also a
    tokenizer that is replaced: its codes stay exactly the same.

    The face embedder becomes an ensemble of itself and those of the weights `ensemble`, aligned by
    the training split of the data set `faces` (`training.embedder_alignment`). Raises UsageError
    for embedders of other sizes, and where one of the two options is missing.
    """
    loaded = load_checkpoint(weights)
    config, codec = public_config(loaded.config), loaded.tokenizer
    types = storage_types(loaded)
    check_folder(folder, overwrite)
    report = None if evaluation is None else read_evaluation(evaluation)
    sheet_png = None if sheet is None else _read_sheet(sheet)
    training = {name: value for name, value in config.training.items() if name != "evaluation"}
    if tokenizer is not None:
        other = _same_codes(codec, tokenizer)
        codec, history = other.codec, without_local_paths(submodel_history(other.config, TOKENIZER))
        training["parts"] = {**training.get("parts", {}), TOKENIZER: history}
    if ensemble or faces is not None:
        loaded, histories = _with_ensemble(loaded, ensemble, faces)
        training["parts"] = {**training.get("parts", {}), **histories}
    types = _changed_types(types, storage, tokenizer_storage)
    if smoothing is not None:
        _smooth(loaded.network if codec is None else codec, smoothing)
        if codec is None:
            config = replace(config, model=loaded.network.config)
    if report is not None:
        training["evaluation"] = report.to_dict()
    config = replace(config, training=training, tokenizer=None if codec is None else codec.config)
    save_checkpoint(
        folder,
        loaded.network,
        tokenizer=codec,
        embedder=loaded.face_embedder,
        others=loaded.others,
        labels=config.labels,
        class_names=config.class_names,
        sampling=config.sampling,
        training=training,
        data=config.data,
        card_text=str(card_from_config(config, folder.resolve().name, sheet is not None)),
        dtype=types,
        extra={} if sheet_png is None else {SHEET: sheet_png},
        check=_last_check(folder, overwrite, report, evaluation),
    )
    _drop_old_sheet(folder, sheet_png)
    return folder


def check_folder(folder: Path, overwrite: bool) -> None:
    """Raises UsageError for a file, for the folder of a run, and for another folder in use unless
    it is to `overwrite` that."""
    if state_path(folder) is not None:  # weights in it would be taken for it from then on
        raise UsageError(f"{folder} is the folder of a run", "give another folder")
    if not folder.exists() or (folder.is_dir() and overwrite):
        return
    if not folder.is_dir() or any(not is_left_over(path) for path in folder.iterdir()):
        raise UsageError(
            f"{folder} exists and is not empty",
            "set overwrite=True to write into it",
            code="export-folder-not-empty",
        )


def _check_labels(run: TrainedRun) -> None:
    """Raises PixelgenError for labels that weights cannot have."""
    labels, classes = run.state.labels, run.recipe.model.classes
    if not len(labels) == len({*labels}) == classes or min(labels, default=0) < 0:
        raise PixelgenError(
            f"the class labels saved in {run.folder} do not fit its model",
            "a model needs as many different labels from 0 as it has classes",
        )


def _read_sheet(sheet: Path) -> bytes:
    try:
        data = read_file(sheet, _LARGEST_SHEET)
    except FileNotFoundError:
        raise InputError(f"no picture {sheet}") from None
    except OSError as error:
        raise InputError(f"cannot read {sheet}: {error.strerror or error}") from error
    if not data.startswith(_PNG):
        raise InputError(f"{sheet} is not a PNG picture")
    return data


def _drop_old_sheet(folder: Path, sheet_png: bytes | None) -> None:
    if sheet_png is None:  # a sheet of earlier weights would be taken for one of these
        (folder / SHEET).unlink(missing_ok=True)


def _last_check(
    folder: Path, overwrite: bool, report: EvaluationReport | None, evaluation: Path | None
) -> Callable[[str], None]:
    """What raises PixelgenError where the figures are of another revision than that written, and
    where files have appeared in `folder` meanwhile."""

    def check(written: str) -> None:
        check_folder(folder, overwrite)
        measured = "" if report is None else report.revision
        # The revision of weights on the Hub is a commit, which cannot be compared.
        if measured.startswith("sha256:") and measured != written:
            raise PixelgenError(
                f"the figures in {evaluation} are of other weights than these",
                "export without an evaluation, evaluate that, and export again",
                code="evaluation-of-other-weights",
            )

    return check


def _changed_types(
    types: Mapping[str, StorageType],
    storage: StorageType | None,
    tokenizer_storage: StorageType | None,
) -> dict[str, StorageType]:
    """The `types` of files, changed to what is given for the model and for its tokenizer. Raises
    UsageError where there is no tokenizer to change."""
    if tokenizer_storage is not None and TOKENIZER_FILE not in types:
        raise UsageError(
            f"no tokenizer beside the model could be stored in {tokenizer_storage}",
            "storage is for the model itself",
            code="no-tokenizer-to-store",
        )
    given = {TOKENIZER_FILE: tokenizer_storage, EMBEDDER_FILE: None}
    return {file: given.get(file, storage) or stored for file, stored in types.items()}


def _smooth(network: torch.nn.Module, smoothing: float) -> None:
    """Change the smoothing of a tokenizer. Raises UsageError for other networks, and for a share
    outside of 0 … 1."""
    if not isinstance(network, Tokenizer):
        raise UsageError(
            "smoothing requires a tokenizer, this model draws pixels", code="nothing-to-smooth"
        )
    try:
        network.set_smoothing(smoothing)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _with_ensemble(
    loaded: LoadedCheckpoint, ensemble: Sequence[str], faces: str | Path | None
) -> tuple[LoadedCheckpoint, dict[str, dict[str, Any]]]:
    """`loaded` with an ensemble as its face embedder (see `export_weights`), and how its further
    networks were trained, as parts of the weights."""
    if not ensemble or faces is None:
        raise UsageError(
            "an ensemble requires further face embedders, and faces to align them by",
            "set both ensemble and faces",
            code="ensemble-without-faces",
        )
    others = [load_checkpoint(ref) for ref in ensemble]
    embedders = [loaded.embedder, *(other.embedder for other in others)]
    images = load_matching_images(loaded, faces, "train", ALIGNMENT_FACES).images
    try:
        averaged = average_embedders(embedders, images)
    except ValueError as error:
        raise UsageError(str(error)) from None
    histories = {
        f"{EMBEDDER} {number}": without_local_paths(submodel_history(other.config, EMBEDDER))
        for number, other in enumerate(others, 2 + len(loaded.embedder.ensemble))
    }
    if loaded.config.kind == "face-embedder":
        return replace(loaded, network=averaged), histories
    return replace(loaded, face_embedder=averaged), histories


def _same_codes(codec: Tokenizer | None, ref: str) -> LoadedCheckpoint:
    """The weights `ref` with the encoder of `codec`, which is theirs but for the rounding of an
    export, by which a few codes may differ. Raises UsageError where it is another one."""
    if codec is None:
        raise UsageError("tokenizer requires a model of codes, this one models pixels")
    loaded = load_checkpoint(ref)
    ours, theirs = codec.encoder.state_dict(), loaded.codec.encoder.state_dict()
    if ours.keys() != theirs.keys() or not all(
        torch.equal(ours[name].half(), theirs[name].half()) for name in ours
    ):
        raise UsageError(
            f"{ref} has another encoder than the tokenizer of this model",
            "its codes differ, or it was stored in 8 bits: give weights of a run with "
            "losses.decoder_only = true, exported in float16",
        )
    loaded.codec.encoder.load_state_dict(ours)
    return loaded


def _in_order(runs: list[TrainedRun]) -> list[TrainedRun]:
    """Runs for one folder in order, the smallest bottleneck first. Raises UsageError where they do
    not belong together."""
    if len(runs) == 1:
        return runs
    by_bottleneck: dict[int, TrainedRun] = {}
    for run in runs:
        config = run.recipe.model
        if type(config) is not AutoencoderConfig:
            raise UsageError(
                f"{run.folder} is not the run of an auto-encoder",
                "only auto-encoders of several bottlenecks share a folder",
            )
        if config.inner:
            raise UsageError(f"{run.folder} has two bottlenecks already", "export it alone")
        if config.bottleneck in by_bottleneck:
            raise UsageError(f"two runs have the bottleneck {config.bottleneck}")
        if config.size != runs[0].model.config.height:
            raise UsageError("the runs are for pictures of different sizes")
        if run.recipe.sampling != runs[0].recipe.sampling:
            raise UsageError(
                "the runs differ in [sampling], a folder has one",
                "resume one of them with the other's [sampling]",
                code="runs-differ-in-sampling",
            )
        by_bottleneck[config.bottleneck] = run
    return [by_bottleneck[bottleneck] for bottleneck in sorted(by_bottleneck)]
