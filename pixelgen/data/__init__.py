"""Data sets for training and evaluation, read through Hugging Face `datasets`."""

from pixelgen.data.crops import cut
from pixelgen.data.images import ImageData, average_down, load_images

__all__ = ["ImageData", "average_down", "cut", "load_images"]
