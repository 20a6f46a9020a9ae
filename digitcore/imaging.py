"""Any picture → an upright RGB array, safely.

Opening is by an explicit list of formats; the header's pixel count is checked before anything is decoded, so that a
13 kB file cannot unpack to 100 megapixels.
"""

import io
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from digitcore.errors import ImageError

logger = logging.getLogger(__name__)

# HEIF covers the HEIC of phones, JPEG their MPO too. No SVG, PDF or EPS: those are programs, not pictures.
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "GIF", "BMP", "TIFF")
FORMAT_NAMES = "JPEG, PNG, WebP, HEIC, GIF, BMP or TIFF"
# A phone's 48-megapixel mode fits, a decompression bomb does not.
MAX_PIXELS = 50_000_000
# Below this no digit has a shape.
MIN_SIDE_PX = 8

register_heif_opener()

Picture = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]


def load_image(picture: Picture) -> npt.NDArray[np.uint8]:
    """Load a picture as an upright RGB array.

    EXIF rotation is applied, transparency is laid on white, 16-bit greys are scaled by their own type's range, CMYK
    and palettes are converted, and an animation gives its first frame.

    Args:
        picture: a path, a file's bytes, a PIL image, or an (H, W, 3) RGB or (H, W) grey uint8 array.

    Returns:
        (H, W, 3) uint8 RGB, contiguous; the picture's own size.

    Raises:
        ImageError: if it is no picture, damaged, too large or too small, or an array of another kind.
    """
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        return _from_pillow(picture)
    if isinstance(picture, bytes):
        source: Path | io.BytesIO = io.BytesIO(picture)
        n_bytes = len(picture)
    elif isinstance(picture, str | Path):
        source = Path(picture)
        if not source.is_file():
            raise ImageError(f'There is no file "{source.name}". Give the path of a {FORMAT_NAMES} picture.')
        n_bytes = source.stat().st_size
    else:
        raise ImageError(f"Expected a path, bytes, a PIL image or a uint8 array, got {type(picture).__name__}.")
    if n_bytes == 0:
        raise ImageError(f"The file is empty. Give a {FORMAT_NAMES} picture.")
    try:
        with Image.open(source, formats=FORMATS) as image:
            return _from_pillow(image)
    except ImageError:
        raise
    except UnidentifiedImageError as err:
        raise ImageError(f"This file is not a picture that can be read. Use {FORMAT_NAMES}.") from err
    except Image.DecompressionBombError as err:
        raise ImageError(_too_large("a decompression bomb by its header")) from err
    except (OSError, SyntaxError, ValueError, EOFError) as err:
        logger.info("undecodable picture: %s", err)
        raise ImageError("The picture is damaged or cut short. Save or upload it again.") from err


def _from_array(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ImageError(
            f"Expected a uint8 array of shape (H, W, 3) or (H, W), got {array.dtype} with shape {array.shape}."
        )
    _check_size(array.shape[1], array.shape[0])
    rgb = np.repeat(array[:, :, None], 3, axis=2) if array.ndim == 2 else array
    return np.ascontiguousarray(rgb)


def _from_pillow(image: Image.Image) -> npt.NDArray[np.uint8]:
    _check_size(*image.size)
    upright = ImageOps.exif_transpose(image)
    return np.ascontiguousarray(np.asarray(_to_rgb(upright), dtype=np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Flatten any mode to RGB, transparency on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scale_deep_grey(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    # Pillow's own convert() would copy one that is RGB already.
    return image if image.mode == "RGB" else image.convert("RGB")


def _scale_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit and float greys to 8 bit; Pillow's own convert() would clip them to white."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
    peak = float(grey.max(initial=0.0))
    # By custom floats are 0..1 or 0..255, and mode "I" holds 8 or 16 bits; what exceeds its custom sets its own scale.
    customs = {"F": (1.0, 255.0), "I": (255.0, 65535.0)}.get(image.mode, (65535.0,))
    full_scale = next((top for top in customs if peak <= top), peak)
    return Image.fromarray((grey.clip(0, full_scale) * (255.0 / full_scale)).round().astype(np.uint8))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(f"{width * height / 1e6:.0f} megapixels"))
    if min(width, height) < MIN_SIDE_PX:
        raise ImageError(
            f"The picture is {width}×{height} pixels, too small to hold a digit. "
            f"Use one of at least {MIN_SIDE_PX} pixels each way."
        )


def _too_large(size: str) -> str:
    return f"The picture is too large ({size}). Use one of at most {MAX_PIXELS // 1_000_000} megapixels."
