"""Sampling pictures from an autoregressive model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pixelgen.models.evaluation_mode import evaluating
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.likelihood import Softmax
from pixelgen.models.multiscale import MultiScale
from pixelgen.models.pixelcnn import PixelCNN
from pixelgen.models.pixelcnn_pp import PixelCNNPP
from pixelgen.models.pixelrnn import PixelRNN
from pixelgen.sampling.incremental_gated import sample_gated
from pixelgen.sampling.incremental_multiscale import sample_multiscale
from pixelgen.sampling.incremental_pixelcnn import sample_pixelcnn
from pixelgen.sampling.incremental_pixelcnn_pp import sample_pixelcnn_pp
from pixelgen.sampling.incremental_pixelrnn import sample_pixelrnn
from pixelgen.sampling.naive import sample_naive
from pixelgen.sampling.options import SamplingOptions
from pixelgen.sampling.state import Request, StepCallback, build_request
from pixelgen.sampling.threads import pass_flops, threads_for

if TYPE_CHECKING:
    from pixelgen.models.autoregressive import AutoregressiveModel
    from pixelgen.models.conditioning import Condition
    from pixelgen.sampling.value_sampler import Observer

Method = Literal["incremental", "naive"]

SAMPLERS: dict[type, Callable[[Request], None]] = {
    GatedPixelCNN: sample_gated,
    PixelCNN: sample_pixelcnn,
    PixelRNN: sample_pixelrnn,
    PixelCNNPP: sample_pixelcnn_pp,
    MultiScale: sample_multiscale,
}
"""The incremental sampler of every network that has one, by its exact class: a subclass may compute
something else. All other models are sampled naively."""


def sample(
    model: AutoregressiveModel,
    condition: Condition | None,
    uniforms: Tensor,
    *,
    options: SamplingOptions | None = None,
    known: Tensor | None = None,
    known_mask: Tensor | None = None,
    on_step: StepCallback | None = None,
    observe: Observer | None = None,
    method: Method = "incremental",
) -> Tensor:
    """Samples pictures, [n, C, H, W] integers on the model's device.

    `uniforms` [n, C, H, W], from `draw_uniforms`, are all the randomness there is: a picture
    depends on its own numbers and condition alone, not on its batch. `condition` is of n pictures
    (None: the null condition). Where `known_mask` [C, H, W] or [n, C, H, W] is true, the value is
    that of `known`, and later values are conditioned on it. At the start and after every position
    of the grid, in raster order, `on_step` is called with the number of sampled positions, their
    total, and a function that returns the pictures so far, zero where they are not sampled yet.
    `observe` is called with the log-distribution [n, levels] of every value in the order of
    sampling, before temperature and top-p.

    `method="incremental"` reuses what was computed for earlier values if `SAMPLERS` has a sampler
    for the model; else, and with `method="naive"`, the whole network runs for every value: slow,
    and the reference.

    Raises ValueError for shapes or conditions that do not fit the model.
    """
    return _sample(
        model, condition, uniforms, options, known, known_mask, on_step, observe, method
    )[0]


def sample_scored(
    model: AutoregressiveModel,
    condition: Condition | None,
    uniforms: Tensor,
    *,
    options: SamplingOptions | None = None,
    known: Tensor | None = None,
    known_mask: Tensor | None = None,
    on_step: StepCallback | None = None,
) -> tuple[Tensor, Tensor]:
    """The pictures of `sample`, and log p of every value given all before it and the condition,
    [n, C, H, W] in nats: at temperature 1, without guidance or top-p.

    With a softmax the log-probabilities are a by-product of sampling; with other likelihoods the
    network runs once more over the pictures.
    """
    x, log_prob = _sample(
        model, condition, uniforms, options, known, known_mask, on_step, None, "incremental",
        scored=True,
    )  # fmt: skip
    assert log_prob is not None
    return x, log_prob


def _sample(
    model: AutoregressiveModel,
    condition: Condition | None,
    uniforms: Tensor,
    options: SamplingOptions | None,
    known: Tensor | None,
    known_mask: Tensor | None,
    on_step: StepCallback | None,
    observe: Observer | None,
    method: Method,
    scored: bool = False,
) -> tuple[Tensor, Tensor | None]:
    if method not in ("incremental", "naive"):
        raise ValueError(f"method must be 'incremental' or 'naive', not {method!r}")
    sampler = sample_naive if method == "naive" else SAMPLERS.get(type(model), sample_naive)
    with evaluating(model), torch.inference_mode():
        by_product = scored and isinstance(model.likelihood, Softmax)
        request = build_request(
            model, condition, uniforms, options or SamplingOptions(), known, known_mask,
            on_step, observe, by_product,
        )  # fmt: skip
        request.report(0)
        sampler(request)
        picture, log_prob = request.picture(), request.log_probabilities()
        if scored and log_prob is None:
            with threads_for(pass_flops(model, len(picture))):
                log_prob = model.log_prob(picture, request.condition[: len(picture)])
    # Inference tensors cannot take part in training later (an image that becomes a target).
    return picture.clone(), None if log_prob is None else log_prob.clone()
