"""Names of classes: facts, without torch."""

from pixelgen.labels.imagenet import (
    ImageClass,
    imagenet,
    nearest,
    parse_classes,
    rows_of,
    search,
)

__all__ = ["ImageClass", "imagenet", "nearest", "parse_classes", "rows_of", "search"]
