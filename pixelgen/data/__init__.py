"""Data sets for training and evaluation, read through Hugging Face `datasets`."""

from pixelgen.data.crops import cut
from pixelgen.data.images import (
    IMAGE_COLUMN,
    ImageData,
    average_down,
    load_images,
    open_dataset,
)
from pixelgen.data.spread import evenly_spread
from pixelgen.data.summary import DataSummary, guess_image_column, summarise

__all__ = [
    "IMAGE_COLUMN",
    "DataSummary",
    "ImageData",
    "average_down",
    "cut",
    "evenly_spread",
    "guess_image_column",
    "load_images",
    "open_dataset",
    "summarise",
]
