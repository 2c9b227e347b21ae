"""The Python API: one object per job, called with plain values, returning PIL images."""

from pixelgen.pipelines.class_pipeline import ClassPipeline, SampleResult
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.painter import Progress
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline, PortraitResult
from pixelgen.pipelines.request import DrawingOptions, PortraitRequest, SampleRequest

__all__ = [
    "ClassPipeline",
    "CodecPipeline",
    "CodesFile",
    "DrawingOptions",
    "PortraitPipeline",
    "PortraitRequest",
    "PortraitResult",
    "Progress",
    "SampleRequest",
    "SampleResult",
]
