"""Class numbers, WordNet ids and names. No torch here."""

from pixelgen.labels.catalogue import ClassCatalogue, ClassGroup, ImageClass
from pixelgen.labels.imagenet import (
    imagenet,
    imagenet_catalogue,
    imagenet_groups,
    imagenet_indices,
    parse_classes,
    search,
)

__all__ = [
    "ClassCatalogue",
    "ClassGroup",
    "ImageClass",
    "imagenet",
    "imagenet_catalogue",
    "imagenet_groups",
    "imagenet_indices",
    "parse_classes",
    "search",
]
