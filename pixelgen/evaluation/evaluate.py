"""The figures that weights of any kind are measured by."""

from __future__ import annotations

from pathlib import Path

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.autoencoders import measure_autoencoders
from pixelgen.evaluation.dataset import label_column, load_matching_images
from pixelgen.evaluation.likelihood import Likelihoods, measure_likelihood
from pixelgen.evaluation.reconstructions import reconstruct_with
from pixelgen.evaluation.results import Evaluation
from pixelgen.metrics.progress import OnNote, OnPartProgress, ignore_note, part_progress
from pixelgen.metrics.reconstruction import measure_reconstruction
from pixelgen.metrics.verification import Verification, embed, verify


def evaluate(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    *,
    limit: int | None = None,
    batch: int = 64,
    unconditional: bool = False,
    code_steps: int = 0,
    note: OnNote = ignore_note,
    progress: OnPartProgress | None = None,
) -> Evaluation:
    """Exact bits per dimension over all images of a split, of a PixelVAE bounds of them, and what
    else there is to measure: reconstructions of a tokenizer, verification by a face embedder.

    With a tokenizer, the likelihood is that of the codes. Images are cropped and downscaled as for
    the training. `limit` takes at most that many images, evenly spread. With `unconditional`,
    class-conditional weights are measured without classes only. Reconstructions are of codes that
    are improved in `code_steps` steps. `progress(part, done, total)` is called after every batch.
    Raises PixelgenError where the data do not fit the weights, and where the network gives no
    numbers; UsageError for `unconditional` with weights that were never trained without a class,
    and for it and `code_steps` with auto-encoders.
    """
    config = weights.config
    if unconditional and not config.unconditional:
        raise UsageError(f"{weights.name} was never trained without a class")
    if config.bottlenecks:
        if unconditional or code_steps:
            option = "unconditional" if unconditional else "code_steps"
            raise UsageError(
                f"{option} has no effect: {weights.name} is {config.kind_with_article}"
            )
        return measure_autoencoders(
            weights, data, split, limit=limit, batch=batch, note=note, progress=progress
        )
    of_part = part_progress(progress)
    images = load_matching_images(weights, data, split, limit, note, of_part("decoding"))
    if config.kind == "face-embedder" and images.labels is None:
        raise PixelgenError(
            f"{data} has no column {label_column(weights)!r}",
            "a face embedder is measured on labels that say who is in each picture",
        )
    verification: Verification | None = None
    if (
        config.kind == "face-embedder" or config.embedder is not None
    ) and images.labels is not None:
        embeddings = embed(weights.embedder, images.images, batch)
        if not embeddings.isfinite().all():
            raise weights.not_finite_error()
        try:
            verification = verify(embeddings, images.labels)
        except ValueError as error:
            # Data of too few people still have a likelihood.
            if config.kind == "face-embedder":
                raise PixelgenError(f"these pictures cannot be verified: {error}") from error
    reconstruction = None
    if config.can_encode:
        codec = weights.codec
        decoded = reconstruct_with(
            codec, images.images, batch, code_steps, of_part("reconstruction")
        )
        device = next(codec.parameters()).device
        reconstruction = measure_reconstruction(images.images, decoded, device, batch)
    likelihoods = Likelihoods()
    if config.can_sample:
        likelihoods = measure_likelihood(
            weights, images, str(data), batch=batch, unconditional=unconditional, of_part=of_part
        )
    return Evaluation(
        images=len(images),
        reconstruction=reconstruction,
        code_steps=None if reconstruction is None else code_steps or None,
        verification=verification,
        **likelihoods._asdict(),
    )
