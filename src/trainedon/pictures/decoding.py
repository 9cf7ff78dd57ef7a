"""The bytes of one picture file -> upright 8-bit RGB, or the reason why not.

Files come from strangers: only six formats are opened, sizes are checked before pixels are unpacked, and a file that
ends early is refused rather than filled up with black or grey. Colour profiles are not applied, as training code
rarely applies them.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from trainedon.errors import PictureError
from trainedon.pictures.sniffing import hint

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 2**20

# What Pillow's readers have been seen to raise on damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    EOFError,
    struct.error,
    zlib.error,
)

_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 274, 258, 262, 0
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes) -> tuple[np.ndarray, dict[str, int | float | str]]:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF file.

    Returns rgb, uint8 (h, w, 3) in [0, 255], turned upright by its EXIF orientation, transparency flattened on white;
    and facts: `format` and `mode` as stored, `width` and `height` as seen (pixels), `bytes`.
    Raises PictureError when the file is empty, too large, of another format, truncated or damaged.
    """
    if not data:
        raise PictureError("empty file")
    if len(data) > MAX_BYTES:
        raise PictureError(f"larger than {MAX_BYTES // 2**20} MiB")
    try:
        with _strict(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            check_pixels(*image.size)
            # A multi-picture file (MPO) is a JPEG with more JPEGs behind it; the first is the picture.
            stored = {"format": "JPEG" if image.format == "MPO" else image.format, "mode": image.mode}
            rgb = np.array(_upright_rgb(image))
    except UnidentifiedImageError:
        message = "not a JPEG, PNG, WebP, GIF, BMP or TIFF picture, or its header is damaged"
        raise PictureError(f"{message}{hint(data)}") from None
    except Image.DecompressionBombError:
        raise PictureError(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except DAMAGE as error:
        raise PictureError(_damage(error)) from None
    height, width = rgb.shape[:2]
    return rgb, {**stored, "width": width, "height": height, "bytes": len(data)}


def check_pixels(width: int, height: int) -> None:
    """Raise PictureError when a picture of this size has no pixels or too many to unpack safely."""
    if width < 1 or height < 1:
        raise PictureError(f"no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} is more than {MAX_PIXELS // 10**6} megapixels")


@contextmanager
def _strict() -> Iterator[None]:
    """Pillow without warnings, and without the leniency that other libraries switch on for the whole process.

    Both are settings of the process, so pictures are decoded by one thread at a time.
    """
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _damage(error: BaseException) -> str:
    """One short printable line about what the reader met."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())[:80]
    return "truncated: the file ends too early" if "truncated" in text.lower() else f"damaged ({text or 'unreadable'})"


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened file, first frame, and return an upright image of mode RGB."""
    _widen_transparent_colour(image)
    drawn = image.tile[0][1] if image.format == "GIF" and image.tile else None
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        rgb = _eight_bits(image).convert("RGB")
    else:
        rgb = _on_white(image)
    if drawn is not None and tuple(drawn) != (0, 0, *image.size):
        # The first frame of a GIF may cover a part of the canvas only; the rest shows what lies behind.
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(rgb.crop(drawn), tuple(drawn[:2]))
        rgb = canvas
    turn = _UPRIGHT.get(_orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) when absent or unreadable: broken metadata does not spoil the pixels."""
    try:
        return image.getexif().get(_ORIENTATION, 1)  # Pillow turns TIFF by itself and drops the tag
    except DAMAGE:
        return 1


def _widen_transparent_colour(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG to the depth at which Pillow hands out the pixels (which it leaves out)."""
    raw = image.tile[0][3] if image.format == "PNG" and image.tile else None
    key = image.info.get("transparency")
    if raw in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[raw]
    elif raw == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _on_white(image: Image.Image) -> Image.Image:
    """RGB of an 8-bit image, with alpha, transparent palette entries or a transparent colour flattened on white."""
    if image.mode == "LAB":
        raise PictureError("colour mode LAB is not supported")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Mode L of a grey image with more than 8 bits, which Pillow itself would clip at 255 instead of scaling."""
    values = np.asarray(image)
    lowest, highest = float(values.min()), float(values.max())
    white = _white_level(image, highest)
    if white is None or not lowest >= 0:
        raise PictureError(f"unknown brightness scale (values from {lowest:g} to {highest:g})")
    grey = np.floor(np.minimum(values / np.float32(white), 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    # Pillow inverts 8-bit TIFFs in which 0 is white, but not the deeper ones.
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey = np.where(values == key, np.uint8(255), grey)
    return Image.fromarray(grey)


def _white_level(image: Image.Image, highest: float) -> float | None:
    """The stored value that means white; None when it cannot be known."""
    if image.mode.startswith("I;16"):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0] if image.format == "TIFF" else 16
        return 2.0**bits - 1
    if image.format == "PNG":  # older Pillow gives 16-bit PNG as mode I
        return 65535.0
    # 32-bit samples do not say their scale: take the smallest customary one that holds the values.
    customary = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next((white for white in customary if highest <= white), None)
