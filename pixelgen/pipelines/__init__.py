"""The Python API: one object per job, called with plain values, returning PIL images."""

from pixelgen.pipelines.class_pipeline import ClassPipeline, SampleResult
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.complete_pipeline import CompletePipeline, CompletionResult
from pixelgen.pipelines.image_sampler import Progress, in_pictures
from pixelgen.pipelines.interpolate_pipeline import InterpolatePipeline, path_request
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline, PortraitResult
from pixelgen.pipelines.reconstruct_pipeline import (
    InterpolationResult,
    Reconstruction,
    ReconstructPipeline,
    ReconstructResult,
)
from pixelgen.pipelines.reconstruct_request import InterpolationRequest, ReconstructRequest
from pixelgen.pipelines.request import (
    CompletionRequest,
    DrawingOptions,
    PortraitRequest,
    SampleRequest,
)
from pixelgen.pipelines.score_pipeline import Score, ScorePipeline, ScoreRequest, ScoreResult
from pixelgen.pipelines.weights import Completion, Picture, Portrait, Weights, load

__all__ = [
    "ClassPipeline",
    "CodecPipeline",
    "CodesFile",
    "CompletePipeline",
    "Completion",
    "CompletionRequest",
    "CompletionResult",
    "DrawingOptions",
    "InterpolatePipeline",
    "InterpolationRequest",
    "InterpolationResult",
    "Picture",
    "Portrait",
    "PortraitPipeline",
    "PortraitRequest",
    "PortraitResult",
    "Progress",
    "ReconstructPipeline",
    "ReconstructRequest",
    "ReconstructResult",
    "Reconstruction",
    "SampleRequest",
    "SampleResult",
    "Score",
    "ScorePipeline",
    "ScoreRequest",
    "ScoreResult",
    "Weights",
    "in_pictures",
    "load",
    "path_request",
]
