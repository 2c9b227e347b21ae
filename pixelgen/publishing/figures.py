"""The figures of a model card, from the typed results of an evaluation."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from pixelgen.checkpoints import Figure
from pixelgen.checkpoints.classification import ClassificationScores
from pixelgen.evaluation.results import (
    AutoencoderScores,
    BitsPerDim,
    EvaluationReport,
    Identity,
    LatentBound,
    Quality,
)
from pixelgen.metrics.bootstrap import Estimate
from pixelgen.metrics.kid import Kid
from pixelgen.metrics.reconstruction import ReconstructionScores
from pixelgen.metrics.verification import Verification


def evaluation_figures(report: EvaluationReport, name: str, unit: str) -> list[Figure]:
    """All figures of a report, each with the command that measures it on the weights `name`;
    `unit` is that of the likelihood."""
    result, split = report.result, f"{report.split} split"
    where = f"{split}, {result.images} pictures"
    words = ("pixelgen", "evaluate", name, "--data", report.data, "--split", report.split)
    whole = command = shlex.join(map(str, words))
    if report.limit is not None:
        command += f" --limit {report.limit}"
    figures = [
        Figure(f"{unit}, {condition}, {where}", _bits(bits), command)
        for condition, bits in (
            ("given class and condition vector", result.given_vectors),
            ("conditional", result.conditional),
            ("unconditional", result.unconditional),
        )
        if bits is not None
    ]
    if result.verification is not None:
        figures += _verification(result.verification, where, command)
    if result.reconstruction is not None:
        figures += _reconstruction(result.reconstruction, where, command, result.code_steps)
    if result.autoencoders is not None:
        figures += _autoencoders(result.autoencoders, result.bound, where, split, command)
    if report.quality is not None:
        figures += _quality(report.quality, split, command)
    if report.identity is not None:
        figures += _identity(report.identity, split, command)
    if report.classification is not None:
        figures.append(_classification(report.classification, split, whole))
    return figures


def _classification(ranked: ClassificationScores, split: str, command: str) -> Figure:
    return Figure(
        f"class found by likelihood, top-1 / top-5 of {ranked.classes} classes, {ranked.pictures} "
        f"pictures of the {split}",
        f"{ranked.top1:.1%} / {ranked.top5:.1%}",
        f"{command} --classify {ranked.pictures} --no-likelihood",
    )


def _verification(verification: Verification, where: str, command: str) -> list[Figure]:
    pairs = f"all pairs, {where}"
    return [
        Figure(f"ROC AUC of verification, {pairs}", f"{verification.auc:.4f}", command),
        Figure(
            f"true accepts at 1 % false accepts, {pairs}", f"{verification.accepted:.1%}", command
        ),
    ]


def _reconstruction(
    scores: ReconstructionScores, where: str, command: str, code_steps: int | None
) -> list[Figure]:
    what = f"of {_reconstructions(code_steps)}, {where}"
    command += _code_steps(code_steps)
    figures = [
        Figure(f"dB PSNR {what}", f"{scores.psnr:.2f}", command),
        Figure(f"SSIM {what}", f"{scores.ssim:.4f}", command),
    ]
    if scores.perceptual is not None:
        figures.append(Figure(f"perceptual distance {what}", f"{scores.perceptual:.4f}", command))
    return figures


def _autoencoders(
    scores: AutoencoderScores, bound: LatentBound | None, where: str, split: str, command: str
) -> list[Figure]:
    figures = []
    options = f"{command} --reconstructions {scores.pictures}"
    if bound is not None:  # a seed draws its latents
        command += f" --importance-samples {bound.samples} --seed {scores.sampling.seed}"
    sampling = _options(asdict(scores.sampling))
    for each in scores.bottlenecks:
        numbers = f"{each.bottleneck} numbers"
        for given, bits in (
            (f"given its {numbers}", each.given),
            (f"given the {numbers} of another picture", each.shuffled),
            (f"without the {numbers}", each.without),
        ):
            if bits is not None:
                figures.append(Figure(f"bits/dim, {given}, {where}", _bits(bits), command))
        for output, decoder in (("means", each.mean), ("PixelCNN samples", each.samples)):
            what = f"of the {output} of {numbers}, {scores.pictures} pictures of the {split}"
            judged = decoder.judged
            measure = options + (" --quality" if judged is not None else "") + sampling
            value = f"{decoder.psnr:.2f} / {decoder.ssim:.4f}"
            figures.append(Figure(f"dB PSNR / SSIM {what}", value, measure))
            if decoder.perceptual is not None:
                value = f"{decoder.perceptual:.4f}"
                figures.append(Figure(f"perceptual distance {what}", value, measure))
            value = f"{decoder.sharpness:.3f}"
            figures.append(Figure(f"gradient energy, originals = 1, {what}", value, measure))
            if judged is not None:
                value = f"{judged.top1:.1%} / {judged.top5:.1%}"
                hits = "original's top class ranked first / in the top five"
                figures.append(Figure(f"{hits}, {what}", value, measure))
                figures += _kid(judged.kid, what, measure)
    return figures + ([] if bound is None else _bound(bound, where, command))


def _bound(bound: LatentBound, where: str, command: str) -> list[Figure]:
    return [
        Figure(f"bits/dim, {what}, {where}", _bits(bits), command)
        for what, bits in (
            (
                f"upper bound, importance-weighted by {bound.samples} draws",
                bound.importance_weighted,
            ),
            ("upper bound, ELBO", bound.elbo),
            ("of the latent (KL), a part of the ELBO", bound.kl),
            ("given a latent drawn from the prior", bound.prior),
        )
    ]


def _quality(quality: Quality, split: str, command: str) -> list[Figure]:
    part = "" if quality.part == "all" else f" ({quality.part} half)"
    where = f"{quality.classes} classes{part} of the {split}"
    command += f" --quality --no-likelihood --part {quality.part}"
    command += _options({} if quality.sampling is None else asdict(quality.sampling))
    command += _code_steps(quality.code_steps)
    samples = "samples"
    if quality.sampling is not None and quality.sampling.candidates is not None:
        samples += f", each the best of {quality.sampling.candidates} candidates"
    figures = []
    for images, scores in (
        ("real pictures", quality.real),
        (_reconstructions(quality.code_steps), quality.reconstructed),
        (samples, quality.samples),
    ):
        if scores is None:
            continue
        what = f"of {scores.pictures} {images}, {where}"
        value = f"{scores.top1:.1%} / {scores.top5:.1%}"
        figures.append(Figure(f"recognised, top-1 / top-5, {what}", value, command))
        figures += _kid(scores.kid, what, command)
        if scores is not quality.real and scores.diversity is not None:
            value = f"{scores.diversity:.3f}"
            figures.append(Figure(f"diversity, real = 1, {what}", value, command))
    return figures


def _identity(identity: Identity, split: str, command: str) -> list[Figure]:
    part = "" if identity.part == "all" else f" ({identity.part} half)"
    sampling, judge = identity.sampling, identity.judge
    where = f"{sampling.people} people{part} of the {split}"
    command += f" --identity --no-likelihood --part {identity.part}{_options(asdict(sampling))}"
    command += _code_steps(identity.code_steps)
    portraits = "portraits"
    if sampling.candidates > 1:
        portraits += f", each the nearest of {sampling.candidates}"
    figures = []
    for images, scores in (
        (portraits, identity.portraits),
        (_reconstructions(identity.code_steps, " of photos"), identity.reconstructed),
        ("real photos", identity.sources),
    ):
        if scores is None:
            continue
        what = f"of {scores.pictures} {images}, {where}"
        for match, name in (
            (scores.independent, f"{judge}, never trained on"),
            (scores.embedder, "embedder"),
        ):
            same = f"same person, AUC / rank-1 of {identity.gallery_people} ({name}), {what}"
            figures.append(Figure(same, f"{_number(match.auc)} / {_share(match.rank1)}", command))
        figures += _kid(scores.kid, what, command)
        if (diversity := scores.independent.diversity) is not None:
            label = f"diversity within a person, real = 1 ({judge}), {what}"
            figures.append(Figure(label, _number(diversity), command))
        if scores is identity.portraits:
            value = f"{_share(scores.copies)}; {_share(identity.false_copies)} of real photos"
            figures.append(Figure(f"copies of the photo, {what}", value, command))
            if (light := scores.lightness) is not None:
                value = " / ".join(_decimal(each) for each in (light.darkest, light.others))
                value += f"; signed, of all: {light.shift.value:+.1f}"
                label = "L* between the face and other photos, darkest fifth of people / others"
                figures.append(Figure(f"{label}, {what}", value, command))
    return figures


def _reconstructions(code_steps: int | None, of: str = "") -> str:
    """What reconstructions are called whose codes were improved in so many steps."""
    return f"reconstructions{of}" + (
        f", codes improved in {code_steps} steps" if code_steps else ""
    )


def _code_steps(number: int | None) -> str:
    """The option of a command."""
    return f" --code-steps {number}" if number else ""


def _kid(kid: Kid | None, what: str, command: str) -> list[Figure]:
    """The kernel inception distance, if it was measured; `what` names the images."""
    if kid is None:
        return []
    value = _with_error(kid.mean, kid.standard_error)
    return [Figure(f"KID (EfficientNet-lite2) {what}", value, command)]


def _bits(bits: BitsPerDim) -> str:
    return _with_error(bits.bits_per_dim, bits.standard_error)


def _number(estimate: Estimate) -> str:
    return _with_error(estimate.value, estimate.standard_error, ".3f")


def _decimal(estimate: Estimate) -> str:
    return _with_error(estimate.value, estimate.standard_error, ".1f")


def _share(estimate: Estimate) -> str:
    return _with_error(estimate.value, estimate.standard_error, ".1%")


def _with_error(value: float, error: float | None, style: str = ".4f") -> str:
    """A value and its standard error, if that is known, in the format `style`."""
    return f"{value:{style}}" if error is None else f"{value:{style}} ± {error:{style}}"


def _options(sampling: dict[str, Any]) -> str:
    """The sampling settings as options of a command."""
    options = ((name.replace("_", "-"), value) for name, value in sampling.items())
    return "".join(f" --{name} {value}" for name, value in options if value is not None)
