"""Pictures for training and evaluation, through Hugging Face `datasets`."""

from pixelgen.data.images import ImageData, average_down, load_images

__all__ = ["ImageData", "average_down", "load_images"]
