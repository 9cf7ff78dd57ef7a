"""What a file is by its first bytes, and what can be told of it before anything is decoded."""

from __future__ import annotations

import math
import re
import struct
from functools import cache
from importlib import import_module

from PIL import features

from trainedon.errors import PictureError

# What Pillow reads by itself; TGA has no mark at its beginning and is told by the one at its end.
BUILT_IN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM")
TGA_MARK = b"TRUEVISION-XFILE.\0"
PLAIN_PPM = 16 * 2**20  # bytes: numbers written out as text are read slowly

MAX_SCANS = 100  # of a JPEG; each goes over all pixels, and real ones have some ten
MAX_STRIPS = 200_000  # of a TIFF, or tiles: each is read by itself

PLAIN_WORK = 256_000_000  # pixels times scans, and four times the pixels of a PNG
PLAIN_SEGMENTS = 256  # of a JPEG before its pixels, or chunks of a PNG beside them
PLAIN_CHUNKS = 16_384  # of a PNG with its pixels; encoders write one for 8 or more KiB
PLAIN_EXIF = 2**16  # bytes; each of its tags may stand for all of it
PLAIN_TEXTS = 2**18  # bytes of packed texts and colour profiles of a PNG; each becomes up to 1000

_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_RAW = (b"FUJIFILMCCD-RAW", b"IIRO", b"MMOR", b"IIRS", b"IIU\0", b"FOVb", b"\0MRM")
_REMEDY = {
    "PSD": "PSD: save it as PNG or TIFF",
    "ICO": "ICO: save it as PNG",
    "SVG": "SVG: a drawing without pixels; save it as PNG, in the size that was used",
    "RAW": "camera raw: develop it, and give the JPEG or TIFF that was used",
}
_EXTRAS = {"HEIF": ("HEIC", "heif", "pillow_heif"), "JXL": ("JPEG XL", "jxl", "pillow_jxl")}


def kind(data: bytes) -> str | None:
    """The format of a picture file as its bytes tell it, by Pillow's names; besides, `HEIF`, `JXL`, `PSD`, `ICO`, `SVG`
    and `RAW` (of a camera). None for anything else."""
    head = data[:32]
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JXL"
    if head[4:8] == b"ftyp":
        return _of_brands(data)
    if head.startswith(b"8BPS"):
        return "PSD"
    if head.startswith(b"\0\0\1\0") and head[4:6] != b"\0\0":
        return "ICO"
    if head.startswith(_RAW) or head[8:11] == b"CR\2":
        return "RAW"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "RAW" if is_raw(data) else "TIFF"
    if b"<svg" in data[:1024].lower() and data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "SVG"
    return _plain_kind(data)


def _plain_kind(data: bytes) -> str | None:
    marks = {
        "JPEG": (b"\xff\xd8\xff",),
        "PNG": (b"\x89PNG\r\n\x1a\n",),
        "GIF": (b"GIF87a", b"GIF89a"),
        "BMP": (b"BM",),
        "JPEG2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        "PPM": tuple(b"P" + digit for digit in (b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F")),
    }
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    found = next((name for name, starts in marks.items() if data.startswith(starts)), None)
    if found == "PPM" and data[2:3] not in (b" ", b"\t", b"\r", b"\n"):
        found = None
    return found or ("TGA" if data.endswith(TGA_MARK) else None)


def _of_brands(data: bytes) -> str | None:
    """What an ISO media file is, by the brands that it names first."""
    size = min(struct.unpack(">I", data[:4])[0], 256)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, size - 3, 4))}
    if brands & _AVIF:
        return "AVIF"
    if b"crx " in brands:
        return "RAW"
    return "HEIF" if brands & _HEIC else None


def opened_by(data: bytes) -> tuple[str, ...]:
    """Pillow's formats among which this file is to be opened.

    Raises PictureError, with what to do, for a picture of a format that is not opened, or not here.
    """
    found = kind(data)
    if found in _REMEDY:
        raise PictureError(_REMEDY[found])
    if found == "AVIF" and not features.check("avif"):
        raise PictureError("AVIF: convert it, or install Pillow 11.3 or newer")
    if found in _EXTRAS:
        name, extra, module = _EXTRAS[found]
        if not _installed(module):
            raise PictureError(f"{name}: convert it, or pip install 'trainedon[{extra}]'")
    if found == "PPM" and data[1:2] in b"123" and len(data) > PLAIN_PPM:
        raise PictureError(f"PPM as text of more than {PLAIN_PPM // 2**20} MiB: save it as PNG")
    return (found,) if found in ("AVIF", "TGA", *_EXTRAS) else BUILT_IN


@cache
def _installed(module: str) -> bool:
    """Whether the reader that an extra installs is there; it is made known to Pillow."""
    try:
        reader = import_module(module)
    except ImportError:
        return False
    if module == "pillow_heif":
        reader.register_heif_opener(thumbnails=False)
    return True


def check_effort(data: bytes) -> None:
    """Raise PictureError for a file that would keep its reader busy far beyond what its pixels need."""
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        scans = _scans(data)
        if scans > MAX_SCANS:
            raise PictureError(f"a JPEG of more than {MAX_SCANS} scans: save it again")
    elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _, counts = _tags(data)
        if max(counts.get(273, 0), counts.get(324, 0)) > MAX_STRIPS:
            raise PictureError(f"a TIFF of more than {MAX_STRIPS} strips or tiles: save it again")


_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def _scans(data: bytes) -> int:
    """How many scans a JPEG has, up to one more than MAX_SCANS; what follows its end does not count."""
    scans, place = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(data, place)):
        mark, place = data[found.start() + 1], found.end()
        if mark == 0xD9:
            break
        scans += mark == 0xDA
        if mark not in (0x01, 0xD8) and place + 2 <= len(data):
            place += struct.unpack_from(">H", data, place)[0]
    return scans


def is_plain(data: bytes) -> bool:
    """Whether a file is a JPEG or PNG whose work is bounded by what is counted here: a few hundred segments or chunks,
    and pixels times scans. Honest ones are but for large photographs in many scans."""
    if data.startswith(b"\xff\xd8\xff"):
        return _is_plain_jpeg(data)
    return data.startswith(b"\x89PNG\r\n\x1a\n") and _is_plain_png(data)


def _is_plain_jpeg(data: bytes) -> bool:
    place, exifs, pixels = 2, 0, 0
    for _ in range(PLAIN_SEGMENTS):
        if place + 9 > len(data) or data[place] != 0xFF:
            return False
        mark = data[place + 1]
        if mark == 0xDA:
            return exifs < 2 and pixels * data.count(b"\xff\xda", place) <= PLAIN_WORK
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            pixels = max(pixels, math.prod(struct.unpack_from(">HH", data, place + 5)))
        exifs += data.startswith(b"Exif", place + 4)
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return False


def _is_plain_png(data: bytes) -> bool:
    if len(data) < 33 or math.prod(struct.unpack_from(">II", data, 16)) > PLAIN_WORK // 4:
        return False
    place, others, pixels, texts = 8, 0, 0, 0
    while place + 12 <= len(data) and others <= PLAIN_SEGMENTS and pixels <= PLAIN_CHUNKS:
        size, name = struct.unpack_from(">I4s", data, place)
        if name == b"IEND":
            return True
        if (name == b"eXIf" and size > PLAIN_EXIF) or data.startswith(b"Raw profile", place + 8):
            return False
        texts += size if name in (b"iCCP", b"iTXt", b"zTXt") else 0
        if texts > PLAIN_TEXTS:
            return False
        others, pixels = others + (name != b"IDAT"), pixels + (name == b"IDAT")
        place += 12 + size
    return False


def is_raw(data: bytes) -> bool:
    """Whether a TIFF, or its beginning, is a camera's raw file (DNG, NEF, ARW, ...): pixels of a colour filter, or a
    preview that stands for them elsewhere. Tags of TIFF 6.0 and DNG 1.7."""
    values, _ = _tags(data)
    preview = values.get(254, 0) & 1 and 330 in values  # a reduced picture, and others below it
    return 50706 in values or values.get(262) in (32803, 34892) or bool(preview)


def _tags(data: bytes) -> tuple[dict[int, int], dict[int, int]]:
    """The first directory of a TIFF: tag -> its first number, as far as it stands in the entry, and tag -> how many
    values it has."""
    order = "<" if data[:2] == b"II" else ">"
    large = data[2:4] in (b"+\0", b"\0+")
    at, number, entry, long = (8, "Q", 20, "Q") if large else (4, "H", 12, "I")
    values, counts = {}, {}
    try:
        (start,) = struct.unpack_from(order + long, data, at)
        (n,) = struct.unpack_from(order + number, data, start)
        start += struct.calcsize(number)
        for place in range(start, start + min(n, 4096) * entry, entry):
            tag, kind, count = struct.unpack_from(order + "HH" + long, data, place)
            short = "H" if kind == 3 else long
            values[tag] = struct.unpack_from(order + short, data, place + 4 + struct.calcsize(long))[0]
            counts[tag] = count
    except struct.error:
        pass  # damaged; the reader will say so
    return values, counts


def jxl_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a JPEG XL file, whose reader decodes it before it says how large it is (ISO 18181-1, 9.2).

    Raises PictureError when there is none.
    """
    codes = _jxl_codes(data)[:16]
    if len(codes) < 4 or codes[:2] != b"\xff\x0a":
        raise PictureError("damaged (no JPEG XL codestream)")
    bits = _Bits(int.from_bytes(codes[2:], "little"))
    small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else 1 + bits.take((9, 13, 18, 30)[bits.take(2)])

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return side(), height
    over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * over // under, height


class _Bits:
    """Numbers of so many bits, the lowest first."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, n: int) -> int:
        found, self._value = self._value & ((1 << n) - 1), self._value >> n
        return found


def _jxl_codes(data: bytes) -> bytes:
    """Where the codestream begins: at once, or in the first box that holds some of it."""
    if data.startswith(b"\xff\x0a"):
        return data[:16]
    place = 0
    while place + 16 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, place + 8), 16
        if name in (b"jxlc", b"jxlp"):
            return data[place + head + (4 if name == b"jxlp" else 0) :][:16]
        if size < 8:
            break
        place += size
    return b""
