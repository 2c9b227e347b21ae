"""What can be done with weights: `load` returns them, requests say what is asked, pipelines carry
that out, and results hold what was drawn or measured."""

from pixelgen.pipelines.class_pipeline import ClassPipeline
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.complete_pipeline import CompletePipeline
from pixelgen.pipelines.completion_request import CompletionRequest
from pixelgen.pipelines.drawing import DrawingArguments, DrawingParameters
from pixelgen.pipelines.image_sampler import SamplingProgress, picture_progress
from pixelgen.pipelines.interpolate_pipeline import InterpolatePipeline, PathResult
from pixelgen.pipelines.interpolate_request import PathRequest, path_request
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline
from pixelgen.pipelines.portrait_request import PortraitRequest
from pixelgen.pipelines.reconstruct_pipeline import ReconstructPipeline
from pixelgen.pipelines.reconstruct_request import InterpolationRequest, ReconstructRequest
from pixelgen.pipelines.results import (
    Completion,
    CompletionResult,
    Frame,
    InterpolationResult,
    Portrait,
    PortraitResult,
    Reconstruction,
    ReconstructResult,
    Sample,
    SampleResult,
    Score,
    ScoreResult,
)
from pixelgen.pipelines.sample_request import SampleRequest
from pixelgen.pipelines.score_pipeline import ScorePipeline
from pixelgen.pipelines.score_request import ScoreRequest
from pixelgen.pipelines.weights import Weights, load

__all__ = [
    "ClassPipeline",
    "CodecPipeline",
    "CodesFile",
    "CompletePipeline",
    "Completion",
    "CompletionRequest",
    "CompletionResult",
    "DrawingArguments",
    "DrawingParameters",
    "Frame",
    "InterpolatePipeline",
    "InterpolationRequest",
    "InterpolationResult",
    "PathRequest",
    "PathResult",
    "Portrait",
    "PortraitPipeline",
    "PortraitRequest",
    "PortraitResult",
    "ReconstructPipeline",
    "ReconstructRequest",
    "ReconstructResult",
    "Reconstruction",
    "Sample",
    "SampleRequest",
    "SampleResult",
    "SamplingProgress",
    "Score",
    "ScorePipeline",
    "ScoreRequest",
    "ScoreResult",
    "Weights",
    "load",
    "path_request",
    "picture_progress",
]
