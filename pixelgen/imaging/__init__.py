"""Pictures outside of models: grids, enlargement, PNG files."""

from pixelgen.imaging.grid import enlarge, make_grid, square_columns
from pixelgen.imaging.png import IfExists, png_bytes, png_text, save_png

__all__ = [
    "IfExists",
    "enlarge",
    "make_grid",
    "png_bytes",
    "png_text",
    "save_png",
    "square_columns",
]
