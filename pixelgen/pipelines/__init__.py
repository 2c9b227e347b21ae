"""The Python API: one object per job, called with plain values, returning PIL images."""

from pixelgen.pipelines.class_pipeline import ClassPipeline, Progress, SampleResult
from pixelgen.pipelines.request import SampleRequest

__all__ = ["ClassPipeline", "Progress", "SampleRequest", "SampleResult"]
