"""The tables that `pixelgen evaluate` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pixelgen.cli import terminal
from pixelgen.errors import counted

if TYPE_CHECKING:
    from pixelgen.checkpoints.classification import ClassificationScores
    from pixelgen.evaluation.results import (
        AutoencoderScores,
        BitsPerDim,
        ClassSamplingSettings,
        DecoderScores,
        Evaluation,
        Identity,
        IdentityScores,
        LatentBound,
        PortraitSamplingSettings,
        Quality,
        QualityScores,
        SamplingSettings,
    )
    from pixelgen.metrics.bootstrap import Estimate
    from pixelgen.metrics.face_similarity import IdentityMatch
    from pixelgen.metrics.kid import Kid


def print_evaluation(result: Evaluation, unit: str) -> None:
    """Print likelihoods in `unit`, and the metrics of a tokenizer, a face embedder or
    auto-encoders."""
    likelihoods = {
        "given class and condition vector": result.given_vectors,
        "conditional": result.conditional,
        "unconditional": result.unconditional,
    }
    rows = _likelihood_rows(likelihoods, unit)
    if (near := result.reconstruction) is not None:
        text = f"{near.psnr:.2f} dB PSNR, {near.ssim:.4f} SSIM"
        if near.perceptual is not None:
            text += f", perceptual distance {near.perceptual:.4f}"
        rows.append(("reconstructed", text))
    if (faces := result.verification) is not None:
        text = (
            f"{faces.auc:.4f} ROC AUC, {faces.accepted:.1%} of {faces.pairs} pairs accepted at a "
            f"false acceptance rate of 1 % of {faces.others} other pairs"
        )
        rows.append(("people", text))
    terminal.table((), rows, align=">")
    if result.autoencoders is not None:
        _print_autoencoders(result.autoencoders)
    if result.bound is not None:
        _print_bound(result.bound)


def _print_bound(bound: LatentBound) -> None:
    """Print the bounds of a PixelVAE."""
    terminal.line(f"upper bounds, not exact; {counted(bound.samples, 'draw')} of h")
    likelihoods: dict[str, BitsPerDim | None] = {
        "importance-weighted bound": bound.importance_weighted,
        "ELBO bound": bound.elbo,
        "of which h (KL)": bound.kl,
        "given h from the prior": bound.prior,
    }
    terminal.table((), _likelihood_rows(likelihoods, "bits/dim"), align=">")


def _likelihood_rows(likelihoods: dict[str, BitsPerDim | None], unit: str) -> list[tuple[str, str]]:
    return [
        (name, f"{bits.bits_per_dim:.4f}{_error(bits.standard_error, '.4f')} {unit}")
        for name, bits in likelihoods.items()
        if bits is not None
    ]


def _guidance(
    drawn: SamplingSettings | ClassSamplingSettings | PortraitSamplingSettings,
) -> str:
    schedule = "" if drawn.guidance_schedule is None else f" ({drawn.guidance_schedule})"
    return f"guidance {drawn.guidance:g}{schedule}"


def _print_autoencoders(figures: AutoencoderScores) -> None:
    """Print likelihoods and a table of both decoders for every bottleneck."""
    drawn, size = figures.sampling, figures.judge_size
    judged = "" if size is None else f", judged at {size}×{size}"
    terminal.line(
        f"{figures.pictures} pictures reconstructed, one sample each: temperature "
        f"{drawn.temperature:g}, top-p {drawn.top_p:g}, {_guidance(drawn)}, "
        f"seed {drawn.seed}{judged}"
    )
    for bottleneck in figures.bottlenecks:
        terminal.line(f"{bottleneck.bottleneck} latent dimensions")
        likelihoods = {
            "given h": bottleneck.given,
            "shuffled h": bottleneck.shuffled,
            "without h": bottleneck.without,
        }
        terminal.table((), _likelihood_rows(likelihoods, "bits/dim"), align=">")
        columns = ("", "PSNR (dB)", "SSIM", "perceptual", "sharpness", "top-1", "top-5", "KID")
        decoders = {"mean": bottleneck.mean, "samples": bottleneck.samples}
        rows = [_decoder_row(name, decoder) for name, decoder in decoders.items()]
        terminal.table(columns, rows, align=">" * len(columns))


def _decoder_row(name: str, figures: DecoderScores) -> tuple[str | None, ...]:
    perceptual = None if figures.perceptual is None else f"{figures.perceptual:.4f}"
    near = (f"{figures.psnr:.2f}", f"{figures.ssim:.4f}", perceptual, f"{figures.sharpness:.3f}")
    if (judged := figures.judged) is None:
        return name, *near, None, None, None
    return name, *near, f"{judged.top1:.1%}", f"{judged.top5:.1%}", _kid(judged.kid, ".4f")


def print_quality(quality: Quality) -> None:
    """Print what the classifier judged, and a table."""
    part = "" if quality.part == "all" else f" (part {quality.part})"
    text = f"{quality.classes} classes{part}, judged at {quality.judge_size}×{quality.judge_size}"
    if (drawn := quality.sampling) is not None:
        text += (
            f"; samples: {drawn.samples_per_class} a class, temperature {drawn.temperature:g}, "
            f"top-p {drawn.top_p:g}, {_guidance(drawn)}, seed {drawn.seed}"
        )
        if drawn.vector_temperature is not None:
            text += f", vector temperature {drawn.vector_temperature:g}"
    terminal.line(text)
    scores = {
        "real": quality.real,
        "reconstructed": quality.reconstructed,
        "samples": quality.samples,
    }
    rows = [_quality_row(name, found) for name, found in scores.items() if found is not None]
    terminal.table(("", "top-1", "top-5", "KID", "diversity"), rows, align=">>>>>")


def _quality_row(name: str, scores: QualityScores) -> tuple[str | None, ...]:
    diversity = None if scores.diversity is None else f"{scores.diversity:.3f}"
    return name, f"{scores.top1:.1%}", f"{scores.top5:.1%}", _kid(scores.kid, ".4f"), diversity


def print_identity(identity: Identity) -> None:
    """Print what was compared, a table for each judge of faces, and one of image quality."""
    drawn = identity.sampling
    part = "" if identity.part == "all" else f" (part {identity.part})"
    nearest = f", the nearest of {drawn.candidates} each" * (drawn.candidates > 1)
    terminal.line(
        f"{drawn.people} people{part}, {drawn.portraits} portraits each from one photo{nearest}, "
        f"compared to {identity.gallery} other photos of {identity.gallery_people} people; "
        f"temperature {drawn.temperature:g}, top-p {drawn.top_p:g}, {_guidance(drawn)}, "
        f"seed {drawn.seed}"
    )
    rows = {"photo": identity.sources, "portraits": identity.portraits}
    if identity.reconstructed is not None:
        rows = {"photo": identity.sources, "reconstructed": identity.reconstructed} | rows
    judge = f"{identity.judge}, which is not used in training"
    _print_judged(judge, {name: scores.independent for name, scores in rows.items()})
    embedder = "the face embedder of the weights"
    _print_judged(embedder, {name: scores.embedder for name, scores in rows.items()})
    _print_image_quality(rows)
    terminal.line(
        "KID: of EfficientNet-lite2's features, to at most as many other photos of each person"
    )
    terminal.line(
        f"copies: nearest to their source among {identity.photos} photos, and nearer than "
        f"{identity.copy_distance:.3f}; this holds for {_share(identity.false_copies)} of the "
        "other real photos"
    )


def print_classification(ranked: ClassificationScores) -> None:
    """Print how often the likelihood finds the class of a picture, and how sure it may be."""
    terminal.line(
        f"classes ranked by likelihood, {ranked.pictures} pictures of {ranked.classes} classes: "
        f"top-1 {ranked.top1:.1%}, top-5 {ranked.top5:.1%}; calibrated at temperature "
        f"{ranked.temperature:.1f}: {ranked.bits:.2f} bits for the right class, "
        f"{math.log2(ranked.classes):.2f} by guessing"
    )


def _print_judged(judge: str, rows: dict[str, IdentityMatch]) -> None:
    terminal.line(f"judged by {judge}")
    cells = [
        (name, _number(match.auc), _share(match.rank1), _number(match.diversity))
        for name, match in rows.items()
    ]
    terminal.table(("", "AUC", "rank-1", "diversity"), cells, align=">>>>")


def _print_image_quality(rows: dict[str, IdentityScores]) -> None:
    terminal.line("image quality")
    cells = [
        (name, _kid(scores.kid, ".3f"), _share(scores.copies), _number(scores.diversity))
        for name, scores in rows.items()
    ]
    terminal.table(("", "KID", "copies", "diversity"), cells, align=">>>>")
    found = {name: scores.lightness for name, scores in rows.items() if scores.lightness}
    if not found:
        return
    terminal.line(
        "lightness of the middle of the face, in L*: difference from other photos of the person"
    )
    terminal.table(
        ("", "signed", "darkest fifth", "others"),
        [
            (name, *(_one_decimal(each) for each in (match.shift, match.darkest, match.others)))
            for name, match in found.items()
        ],
        align=">>>>",
    )


def _error(error: float | None, form: str) -> str:
    """The standard error of a figure, if it has one."""
    return "" if error is None else f" ± {error:{form}}"


def _kid(kid: Kid | None, form: str) -> str | None:
    return None if kid is None else f"{kid.mean:{form}}{_error(kid.standard_error, form)}"


def _one_decimal(figure: Estimate) -> str:
    return f"{figure.value:.1f}{_error(figure.standard_error, '.1f')}"


def _number(figure: Estimate | None) -> str | None:
    return None if figure is None else f"{figure.value:.3f}{_error(figure.standard_error, '.3f')}"


def _share(figure: Estimate) -> str:
    return f"{figure.value:.1%}{_error(figure.standard_error, '.1%')}"
