"""Data sets for training and evaluation, read through Hugging Face `datasets`."""

from pixelgen.data.crops import cut
from pixelgen.data.images import ImageData, average_down, load_images
from pixelgen.data.summary import DataSummary, summarise

__all__ = ["DataSummary", "ImageData", "average_down", "cut", "load_images", "summarise"]
