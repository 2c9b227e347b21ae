"""Class numbers, WordNet ids and names. No torch here."""

from pixelgen.labels.imagenet import (
    ImageClass,
    imagenet,
    nearest,
    parse_classes,
    rows_of,
    search,
)

__all__ = ["ImageClass", "imagenet", "nearest", "parse_classes", "rows_of", "search"]
