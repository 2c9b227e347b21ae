"""Pictures outside of models: reading photos, faces, grids, enlargement, PNG files."""

from pixelgen.imaging.alignment import align, residual
from pixelgen.imaging.faces import Face, FaceDetector, find_face
from pixelgen.imaging.grid import enlarge, make_grid, square_columns
from pixelgen.imaging.png import IfExists, png_bytes, png_text, save_png
from pixelgen.imaging.read import MAX_PIXELS, Fit, read_image, square, to_rgb

__all__ = [
    "MAX_PIXELS",
    "Face",
    "FaceDetector",
    "Fit",
    "IfExists",
    "align",
    "enlarge",
    "find_face",
    "make_grid",
    "png_bytes",
    "png_text",
    "read_image",
    "residual",
    "save_png",
    "square",
    "square_columns",
    "to_rgb",
]
