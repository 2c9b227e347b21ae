"""Pictures without models: reading photos, faces, grids, enlargement, PNG files, animations."""

from pixelgen.files import MAX_PIXELS, IfExists
from pixelgen.imaging.alignment import align, residual
from pixelgen.imaging.animation import (
    ANIMATIONS,
    animation_bytes,
    save_animation,
)
from pixelgen.imaging.face_detector import Face, FaceDetector
from pixelgen.imaging.faces import FaceCrop, FaceCropper, detect_faces, find_face
from pixelgen.imaging.formats import picture_endings
from pixelgen.imaging.full_size_hole import FullSizeHole
from pixelgen.imaging.grid import Resample, enlarge, make_grid, square_columns, stack_rows
from pixelgen.imaging.heatmap import check_rows, heat_sheet
from pixelgen.imaging.hole import Hole, cut_around_hole, cut_hole, grey_out, parse_box, parse_keep
from pixelgen.imaging.mask import MASK_CONVENTIONS, MaskConvention, load_mask, read_mask
from pixelgen.imaging.picture_files import (
    PICTURES,
    is_unfinished,
    picture_text,
    same_picture,
    same_pixels,
    save_picture,
)
from pixelgen.imaging.png import png_bytes, png_text, save_png, unfinished_text
from pixelgen.imaging.provenance import COMPOSITE, SOURCE_TYPE, TRAINED
from pixelgen.imaging.read import DataFit, Fit, OnNote, Photo, load_photo, read_image, square
from pixelgen.imaging.reconstruction_metrics import ReconstructionMetrics
from pixelgen.imaging.rgb import to_rgb
from pixelgen.imaging.sheets import path_sheet, portrait_sheet
from pixelgen.imaging.tiles import cut_tiles, join_tiles, shrink, tile_count

__all__ = [
    "ANIMATIONS",
    "COMPOSITE",
    "MASK_CONVENTIONS",
    "MAX_PIXELS",
    "PICTURES",
    "SOURCE_TYPE",
    "TRAINED",
    "DataFit",
    "Face",
    "FaceCrop",
    "FaceCropper",
    "FaceDetector",
    "Fit",
    "FullSizeHole",
    "Hole",
    "IfExists",
    "MaskConvention",
    "OnNote",
    "Photo",
    "ReconstructionMetrics",
    "Resample",
    "align",
    "animation_bytes",
    "check_rows",
    "cut_around_hole",
    "cut_hole",
    "cut_tiles",
    "detect_faces",
    "enlarge",
    "find_face",
    "grey_out",
    "heat_sheet",
    "is_unfinished",
    "join_tiles",
    "load_mask",
    "load_photo",
    "make_grid",
    "parse_box",
    "parse_keep",
    "path_sheet",
    "picture_endings",
    "picture_text",
    "png_bytes",
    "png_text",
    "portrait_sheet",
    "read_image",
    "read_mask",
    "residual",
    "same_picture",
    "same_pixels",
    "save_animation",
    "save_picture",
    "save_png",
    "shrink",
    "square",
    "square_columns",
    "stack_rows",
    "tile_count",
    "to_rgb",
    "unfinished_text",
]
