"""The bytes of one picture file -> 8-bit RGB, upright unless asked otherwise, or the reason why not.

Files come from strangers: only known formats are opened, by their content, sizes are checked before pixels are
unpacked, and a file that ends early is refused rather than filled up with black or grey. Colour profiles are not
applied, as training code rarely applies them.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError
from PIL.GifImagePlugin import GifImageFile
from PIL.TiffImagePlugin import TiffImageFile

from trainedon.errors import PictureError
from trainedon.pictures.pixels.content import check_effort, jxl_size, opened_by
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering
from trainedon.pictures.pixels.sniffing import hint

MAX_PIXELS = 200_000_000  # A2 at 600 dpi is 139 megapixels, the largest camera of a telephone has 200
MOST = dict.fromkeys(("WEBP", "JPEG2000", "AVIF", "HEIF", "JXL"), 100_000_000)  # whose readers hold several copies
MAX_SIDE = 1_000_000  # pixels; a filter's table of weights grows with the longer side
MAX_BYTES = 256 * 2**20
REDUCED = 64_000_000  # pixels; a JPEG of more is decoded at half its width and height
ENOUGH = 4096  # pixels; of a side that is not reduced, since a model might see as many
BAND = 2**22  # pixels that are converted at once
MOST_TEXT, MOST_TEXTS = 2**24, 2**26  # bytes of one text or colour profile in a PNG, and of all its texts

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
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF orientation -> what makes stored pixels upright
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.transpose(1, 0, 2),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: rgb[::-1, ::-1].transpose(1, 0, 2),
    8: lambda rgb: np.rot90(rgb, 1),
}
_BACK = {6: 8, 8: 6}  # which turn undoes another, where it is not itself
QUARTERS = (5, 6, 7, 8)  # orientations that exchange width and height


def decode(
    data: bytes, rendering: Rendering = DEFAULT, sized: Callable[[int, str], None] | None = None
) -> tuple[np.ndarray, dict[str, int | float | str]]:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, AVIF, JPEG 2000, PPM or TGA file; HEIC or JPEG XL where
    what reads them is installed.

    Returns rgb, uint8 (h, w, 3) in [0, 255], transparency and orientation as `rendering` says; and facts: `format` and
    `mode` as stored, `width` and `height` as seen (pixels), `bytes`; `alpha` (True) where a pixel is not fully opaque,
    `orientation` (1..8) where EXIF tells one. A JPEG of more than REDUCED pixels is decoded at half its width and
    height; its facts are those of the whole.
    sized: called with the number of pixels and the format, once they are known and before any is unpacked.
    Raises PictureError when the file is empty, too large, of another format, truncated or damaged.
    """
    formats = check_file(data)
    told = sized or (lambda pixels, kind: None)
    try:
        if formats == ("JXL",):
            told(math.prod(jxl_size(data)), "JXL")
        with _strict(), Image.open(io.BytesIO(data), formats=formats) as image:
            check_pixels(*image.size, image.format)
            told(math.prod(image.size), str(image.format))
            return _decoded(image, rendering.settled, len(data))
    except UnidentifiedImageError:
        message = "not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or JPEG 2000 picture, or its header is damaged"
        raise PictureError(f"{message}{hint(data)}") from None
    except Image.DecompressionBombError:
        raise PictureError(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except DAMAGE as error:
        raise PictureError(_damage(error)) from None


def check_file(data: bytes) -> tuple[str, ...]:
    """Pillow's formats among which a file is to be opened. Raises PictureError where it is not to be, as far as that
    can be told without opening it."""
    if not data:
        raise PictureError("empty file")
    if len(data) > MAX_BYTES:
        raise PictureError(f"larger than {MAX_BYTES // 2**20} MiB")
    formats = opened_by(data)
    check_effort(data)
    if formats == ("JXL",):
        check_pixels(*jxl_size(data), "JXL")
    return formats


def check_pixels(width: int, height: int, kind: str | None = None) -> None:
    """Raise PictureError when a picture of this size, and format, has no pixels or too many to unpack safely."""
    most = MOST.get(kind or "", MAX_PIXELS)
    if width < 1 or height < 1:
        raise PictureError(f"no pixels ({width} x {height})")
    if width * height > most:
        raise PictureError(f"{width} x {height} is more than {most // 10**6} megapixels")
    if max(width, height) > MAX_SIDE:
        raise PictureError(f"{width} x {height}: a side of more than {MAX_SIDE} pixels")


def _decoded(image: Image.Image, rendering: Rendering, size: int) -> tuple[np.ndarray, dict[str, int | float | str]]:
    """What `decode` gives, of a file of `size` bytes that was opened."""
    # A multi-picture file (MPO) is a JPEG with more JPEGs behind it; the first is the picture.
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    facts: dict[str, int | float | str] = {"format": kind, "mode": image.mode}
    turned = image.format == "TIFF"  # which Pillow turns by itself as it loads, and takes the tag away
    orientation = _orientation(image) if turned else None
    width, height = image.size
    if image.format in ("JPEG", "MPO") and width * height > REDUCED and min(width, height) >= 2 * ENOUGH:
        image.draft(None, (width // 2, height // 2))
    rgb, alpha = _rgb(image, rendering.alpha)
    if not turned:  # what Pillow knows of a PNG may stand behind its pixels
        orientation = _orientation(image)
    if turned and rendering.orientation == "stored" and orientation in _TURNS:
        rgb = np.ascontiguousarray(_TURNS[_BACK.get(orientation, orientation)](rgb))
    elif not turned and rendering.orientation == "exif" and orientation in _TURNS:
        rgb = np.ascontiguousarray(_TURNS[orientation](rgb))
    if orientation in QUARTERS and turned == (rendering.orientation == "stored"):
        width, height = height, width
    facts |= {"width": width, "height": height, "bytes": size}
    return rgb, facts | ({"alpha": True} if alpha else {}) | ({"orientation": orientation} if orientation else {})


@contextmanager
def _strict() -> Iterator[None]:
    """Pillow without warnings, and without the leniency that other libraries switch on for the whole process.

    All are settings of the process, so pictures are decoded by one thread at a time.
    """
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2  # twice as many are an error
    texts = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = MOST_TEXT, MOST_TEXTS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = lenient, most
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = texts


def _damage(error: BaseException) -> str:
    """One short printable line about what the reader met."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())[:80]
    if "MAX_TEXT_" in text:
        most = f"{MOST_TEXT // 2**20} MiB, or all its texts more than {MOST_TEXTS // 2**20} MiB"
        return f"a text or colour profile in it takes more than {most}"
    return "truncated: the file ends too early" if "truncated" in text.lower() else f"damaged ({text or 'unreadable'})"


def _rgb(image: Image.Image, alpha: str) -> tuple[np.ndarray, bool]:
    """Decode the pixels of an opened file, first frame: uint8 (h, w, 3), and whether a pixel is not fully opaque."""
    _widen_transparent_colour(image)
    drawn = image.tile[0][1] if isinstance(image, GifImageFile) and image.tile else None
    image.load()
    width, height = image.size
    check_pixels(width, height, image.format)  # some readers learn only now how large it is
    deep = image.mode == "F" or image.mode.startswith("I")
    convert = _eight_bits(image, alpha) if deep else _flattening(image, alpha)
    rgb, transparent = np.empty((height, width, 3), np.uint8), False
    for top, band in _bands(image):
        part, through = convert(band)
        rgb[top : top + band.height] = np.asarray(part)
        transparent |= through
    if drawn is not None and drawn != (0, 0, *image.size):
        # The first frame of a GIF may cover a part of the canvas only; the rest shows what lies behind.
        rgb, transparent = _on_canvas(rgb, drawn, alpha), True
    return rgb, transparent


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Rows of a loaded image and where they begin, so that no second copy of a large picture is held."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        yield top, image if bottom - top == image.height else image.crop((0, top, image.width, bottom))


def _on_canvas(rgb: np.ndarray, drawn: tuple[int, int, int, int], alpha: str) -> np.ndarray:
    """Only the part that was drawn, the rest white or black; as Pillow filled it, where transparency is left out."""
    if alpha == "drop":
        return rgb
    left, top, right, bottom = drawn
    canvas = np.full_like(rgb, 255 if alpha == "white" else 0)
    canvas[top:bottom, left:right] = rgb[top:bottom, left:right]
    return canvas


def _orientation(image: Image.Image) -> int | None:
    """EXIF orientation, None when absent or unreadable: broken metadata does not spoil the pixels.

    HEIC and JPEG XL say in their own headers how they are turned, which their readers do, and EXIF does not count; but
    what reads JPEG XL hands out a JPEG that was packed into it as it was.
    """
    try:
        found = _tag(image, _ORIENTATION) if image.format == "TIFF" else image.getexif().get(_ORIENTATION)
    except DAMAGE:
        return None
    turned = image.format == "HEIF" or (image.format == "JXL" and not getattr(image, "jpeg", False))
    return found if not turned and found in range(1, 9) else None


def _tag(image: Image.Image, number: int) -> Any:
    """What a TIFF says under a number; None where it says nothing, and for other formats."""
    return image.tag_v2.get(number) if isinstance(image, TiffImageFile) else None


def _widen_transparent_colour(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG to the depth at which Pillow hands out the pixels (which it leaves out)."""
    raw = image.tile[0][3] if isinstance(image, PngImagePlugin.PngImageFile) and image.tile else None
    key = image.info.get("transparency")
    if raw in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[raw]
    elif raw == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _flattening(image: Image.Image, alpha: str) -> Callable[[Image.Image], tuple[Image.Image, bool]]:
    """What turns bands of an 8-bit image into RGB, and tells whether they have alpha, transparent palette entries or a
    transparent colour that shows."""
    if image.mode == "LAB":
        raise PictureError("colour mode LAB is not supported")
    if not image.has_transparency_data:
        return lambda band: (band.convert("RGB"), False)

    def flatten(band: Image.Image) -> tuple[Image.Image, bool]:
        band = band.convert("RGBA")
        transparent = cast("tuple[tuple[int, int], ...]", band.getextrema())[3][0] < 255
        if alpha != "drop":
            band = Image.alpha_composite(Image.new("RGBA", band.size, alpha), band)
        return band.convert("RGB"), transparent

    return flatten


def _eight_bits(image: Image.Image, alpha: str) -> Callable[[Image.Image], tuple[np.ndarray, bool]]:
    """What turns bands of a grey image with more than 8 bits into 8, uint8 (h, w, 1), where Pillow itself would clip at
    255 instead of scaling; and tells whether they have the transparent colour."""
    extremes = np.array([(np.asarray(band).min(), np.asarray(band).max()) for _, band in _bands(image)])
    lowest, highest = float(extremes.min()), float(extremes.max())
    white = _white_level(image, highest)
    if white is None or not lowest >= 0:
        raise PictureError(f"unknown brightness scale (values from {lowest:g} to {highest:g})")
    # Pillow inverts 8-bit TIFFs in which 0 is white, but not the deeper ones.
    inverted = _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
    key = image.info.get("transparency")

    def scale(band: Image.Image) -> tuple[np.ndarray, bool]:
        values = np.asarray(band)
        grey = np.minimum(values / np.float32(white), 1) * np.float32(255) + np.float32(0.5)
        grey = np.floor(grey).astype(np.uint8)
        if inverted:
            grey = 255 - grey
        clear = values == key if isinstance(key, int) else np.zeros((), bool)
        if clear.any() and alpha != "drop":
            grey = np.where(clear, np.uint8(255 if alpha == "white" else 0), grey)
        return grey[..., None], bool(clear.any())

    return scale


def _white_level(image: Image.Image, highest: float) -> float | None:
    """The stored value that means white; None when it cannot be known."""
    if image.mode.startswith("I;16"):
        bits = (_tag(image, _BITS_PER_SAMPLE) or (16,))[0]
        return 2.0**bits - 1
    if image.format == "PNG" or (image.format == "PPM" and image.mode == "I"):  # which Pillow brings to 16 bits
        return 65535.0
    # 32-bit samples do not say their scale: take the smallest customary one that holds the values.
    customary = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next((white for white in customary if highest <= white), None)
