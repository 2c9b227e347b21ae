"""The Python API: one object per job, called with plain values, returning PIL images."""

from pixelgen.pipelines.class_pipeline import ClassPipeline, Progress, SampleResult
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.request import SampleRequest

__all__ = [
    "ClassPipeline",
    "CodecPipeline",
    "CodesFile",
    "Progress",
    "SampleRequest",
    "SampleResult",
]
