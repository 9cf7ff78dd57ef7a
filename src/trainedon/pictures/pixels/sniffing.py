"""What a file seems to be, by its first bytes and, where they say little, by its name.

Names lie: browsers save `photo.jpg_large`, `photo.jpg?width=640` or `photo`, and a camera's raw file is a TIFF inside
whose first picture is a thumbnail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainedon.formats.reasons import PASSED
from trainedon.pictures.pixels.content import is_raw
from trainedon.pictures.pixels.names import COMPRESSED_TARS, has

HEAD = 4096  # bytes that are looked at: the tags of a camera's raw file lie within

_EXPORT = "export it as JPEG, PNG or TIFF"
_UNPACK = "unpack it"


@dataclass(frozen=True, slots=True)
class Seems:
    """What a file seems to be. kind: what several may share; detail: what this one is, such as its format.

    remedy: what to do so that it is read, where it may hold pictures. picture: whether it is one that may be decoded.
    """

    kind: str
    detail: str = ""
    remedy: str = ""
    picture: bool = False

    @property
    def reason(self) -> str:
        """Why it is passed over."""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{PASSED}{self.kind}{detail}{f': {self.remedy}' if self.remedy else ''}"


def kind_of(reason: str) -> str:
    """The kind of what was passed over for a reason."""
    return reason.removeprefix(PASSED).partition(": ")[0].partition(" (")[0]


PICTURE = Seems("picture", picture=True)
HIDDEN, HIDDEN_FOLDER = Seems("hidden or system file"), Seems("hidden or system folder")
NO_FILE = Seems("link, pipe or device")
BROKEN = Seems("broken link", remedy="put back what it leads to")
OUTSIDE = Seems("link out of the folder", remedy="add --follow-links if what it leads to is meant")
TOO_DEEP = Seems("folder nested too deeply", remedy="move its pictures up")
TEXT, JSON = Seems("text file"), Seems("JSON file")
BLANK = Seems("file whose name is blank", remedy="rename it")
UNASKED = Seems("file of unknown suffix in a store", remedy="rename it to what it is, or copy it to a local disk")


def unreadable(why: str) -> Seems:
    """A file that cannot be looked at."""
    return Seems("file that cannot be read", why, "give access to it, or take it away")


def _raw(suffix: str) -> Seems:
    return Seems("camera raw", suffix.lstrip(".").upper(), "export it as JPEG or TIFF")


_VIDEO = Seems("video", remedy="save single frames as pictures if they are meant")
_ZIP = Seems("archive", "ZIP", _UNPACK)
_PHOTOSHOP = Seems("layered picture", "PSD", _EXPORT)
_PARQUET, _ARROW = Seems("parquet table", remedy="name it .parquet"), Seems("Arrow table", remedy="save it as .parquet")
_ARRAYS = Seems("numpy arrays", remedy="save them as .npz")
_DRAWING = Seems("drawing", "SVG", _EXPORT)
_PAGE, _XML, _CSV = Seems("web page", "HTML"), Seems("XML file"), Seems("CSV table")
_PDF = Seems("PDF", remedy="export its pictures as JPEG or PNG")
_POINTER = Seems("Git LFS pointer", remedy="fetch the file itself with git lfs pull")
_MODEL = Seems("model or tensor file")

# (where, first bytes, what it is); of two that fit, the first counts
_MAGIC: tuple[tuple[int, bytes, Seems], ...] = (
    (0, b"II*\0\x10\0\0\0CR", _raw("CR2")),
    (0, b"FUJIFILMCCD-RAW", _raw("RAF")),
    (0, b"IIRO", _raw("ORF")),
    (0, b"IIRS", _raw("ORF")),
    (0, b"MMOR", _raw("ORF")),
    (0, b"IIU\0", _raw("RW2")),
    (0, b"\0MRM", _raw("MRW")),
    (0, b"FOVb", _raw("X3F")),
    (6, b"HEAPCCDR", _raw("CRW")),
    (4, b"ftypcrx", _raw("CR3")),
    (0, b"\xff\xd8\xff", PICTURE),
    (0, b"\x89PNG\r\n\x1a\n", PICTURE),
    (0, b"GIF87a", PICTURE),
    (0, b"GIF89a", PICTURE),
    (0, b"\xff\x0a", PICTURE),  # JPEG XL
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", PICTURE),
    (0, b"8BPS", _PHOTOSHOP),
    (0, b"gimp xcf", Seems("layered picture", "XCF", _EXPORT)),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", PICTURE),  # JPEG 2000
    (0, b"\xff\x4f\xff\x51", PICTURE),
    (0, b"v/1\x01", Seems("picture of another format", "OpenEXR", _EXPORT)),
    (0, b"DDS ", Seems("picture of another format", "DDS", _EXPORT)),
    (0, b"#?RADIANCE", Seems("picture of another format", "HDR", _EXPORT)),
    (0, b"qoif", Seems("picture of another format", "QOI", _EXPORT)),
    (0, b"AT&TFORM", Seems("picture of another format", "DjVu", _EXPORT)),
    (128, b"DICM", Seems("picture of another format", "DICOM", _EXPORT)),
    (0, b"SIMPLE  =", Seems("picture of another format", "FITS", _EXPORT)),
    (0, b"%PDF-", _PDF),
    (0, b"%!PS", Seems("drawing", "PostScript", _EXPORT)),
    (0, b"Rar!\x1a\x07", Seems("archive", "RAR", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Seems("archive", "7z", _UNPACK)),
    (0, b"\x1f\x8b", Seems("archive", "gzip", _UNPACK)),
    (0, b"BZh", Seems("archive", "bzip2", _UNPACK)),
    (0, b"\xfd7zXZ\0", Seems("archive", "xz", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Seems("archive", "zstd", _UNPACK)),
    (257, b"ustar", Seems("archive", "tar", "name it .tar")),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (0, b"\0\0\x01\xba", _VIDEO),
    (0, b"\0\0\x01\xb3", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (0, b"0&\xb2u\x8ef\xcf\x11", _VIDEO),
    (4, b"moov", _VIDEO),
    (4, b"mdat", _VIDEO),
    (8, b"AVI ", _VIDEO),
    (0, b"ID3", Seems("sound")),
    (0, b"OggS", Seems("sound")),
    (0, b"fLaC", Seems("sound")),
    (8, b"WAVE", Seems("sound")),
    (0, b"PAR1", _PARQUET),
    (0, b"ARROW1", _ARROW),
    (0, b"\x93NUMPY", _ARRAYS),
    (0, b"\x89HDF\r\n\x1a\n", Seems("HDF5 file", remedy="save its pictures as .npz or as files")),
    (0, b"SQLite format 3\0", Seems("database")),
    (0, b"version https://git-lfs", _POINTER),
    (0, b"\0\x05\x16\x07", HIDDEN),  # what macOS keeps beside a file
)
_STILL = (
    b"avif",
    b"avis",
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"mif1",
    b"msf1",
)  # brands of ISO BMFF
# width and height, and the maximum where there is one
_PIXMAP = re.compile(rb"P(?:[14](?:GAP\d+){2}|[2356](?:GAP\d+){3})\s".replace(b"GAP", rb"\s(?:\s|#[^\n]*\n)*"))
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes: what a BMP's second header says of its own length

_RAWS = (
    *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".raf", ".orf", ".rw2", ".rwl", ".pef"),
    *(".srw", ".x3f", ".3fr", ".fff", ".iiq", ".mrw", ".dcr", ".kdc", ".erf", ".mef", ".mos", ".gpr", ".raw"),
)
_BY_SUFFIX: dict[str, Seems] = {suffix: _raw(suffix) for suffix in _RAWS}
_BY_SUFFIX |= dict.fromkeys((".psd", ".psb"), _PHOTOSHOP)
_BY_SUFFIX |= {name: Seems("layered picture", name[1:].upper(), _EXPORT) for name in (".xcf", ".kra", ".ora", ".clip")}
_BY_SUFFIX |= {name: Seems("layered picture", name[1:], _EXPORT) for name in (".procreate", ".afphoto", ".sketch")}
_BY_SUFFIX |= {name: Seems("drawing", name[1:].upper(), _EXPORT) for name in (".svg", ".svgz", ".ai", ".eps", ".ps")}
_BY_SUFFIX |= dict.fromkeys((".pdf",), _PDF)
_BY_SUFFIX |= {name: Seems("archive", name[1:].upper(), _UNPACK) for name in (".zip", ".cbz", ".rar", ".cbr", ".7z")}
_BY_SUFFIX |= {name: Seems("archive", name[1:], "unpack it, or store it as plain .tar") for name in COMPRESSED_TARS}
_BY_SUFFIX |= {name: Seems("archive", name[1:], _UNPACK) for name in (".gz", ".bz2", ".xz", ".zst", ".lz4")}
_BY_SUFFIX |= dict.fromkeys(
    (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts"), _VIDEO
)
_BY_SUFFIX |= dict.fromkeys((".mp3", ".wav", ".flac", ".ogg", ".m4a", ".aac"), Seems("sound"))
_BY_SUFFIX |= dict.fromkeys((".arrow", ".feather"), _ARROW) | {".npy": _ARRAYS, ".parq": _PARQUET}
_BY_SUFFIX |= dict.fromkeys((".h5", ".hdf5"), Seems("HDF5 file", remedy="save its pictures as .npz or as files"))
_BY_SUFFIX |= dict.fromkeys((".tfrecord", ".lmdb", ".mdb", ".beton", ".rec"), Seems("data set of another format"))
_BY_SUFFIX |= dict.fromkeys((".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".pkl", ".pickle"), _MODEL)
_BY_SUFFIX |= dict.fromkeys((".docx", ".pptx", ".xlsx", ".odt", ".odp", ".ods", ".doc", ".ppt"), Seems("document"))
_BY_SUFFIX |= dict.fromkeys((".json", ".jsonl", ".ndjson"), JSON) | dict.fromkeys((".csv", ".tsv"), _CSV)
_BY_SUFFIX |= dict.fromkeys((".html", ".htm", ".mhtml"), _PAGE) | dict.fromkeys((".xml", ".xmp", ".aae"), _XML)
_BY_SUFFIX |= dict.fromkeys((".txt", ".caption", ".md", ".rst", ".log", ".yaml", ".yml", ".toml", ".py"), TEXT)
_TEXTS = (TEXT, JSON, _CSV, _PAGE, _XML)
_ENDS_OF_ZIPS = ("document", "layered picture", "model or tensor file", "archive")


def hint(data: bytes) -> str:
    """What a file that is called a picture seems to be instead, as the end of a sentence; nothing where it is one."""
    what = _by_content(data[:HEAD])
    if what is None or what.picture or what is HIDDEN:
        return ""
    detail = f" ({what.detail})" if what.detail else ""
    return f"; it seems to be: {what.kind}{detail}"


def by_suffix(name: str) -> Seems | None:
    """What a name alone says of a file that is no picture and no table; None where it says nothing."""
    lower = name.rpartition("/")[2].lower()
    if has(lower, *COMPRESSED_TARS):
        return next(_BY_SUFFIX[suffix] for suffix in COMPRESSED_TARS if lower.endswith(suffix))
    return _BY_SUFFIX.get(lower[lower.rfind(".") :]) if "." in lower else None


def seems(head: bytes, name: str) -> Seems:
    """What a file is. head: its first HEAD bytes, or all where it has fewer."""
    told = by_suffix(name)
    if not head:
        return Seems("empty file")
    found = _by_content(head)
    if found is None:
        return told or Seems("file of an unknown kind", remedy=_EXPORT + " if it is a picture")
    if told is not None and told.kind == "camera raw" and _is_tiff(head):
        return told
    # a container says less than the name of what is in it
    if found is _ZIP and told is not None and told.kind in _ENDS_OF_ZIPS:
        return told
    if told in _TEXTS and found not in (_POINTER, _PAGE, _DRAWING) and _of_text(head) is not None:
        return told  # `GIF89a is a format` is a text
    if found in (TEXT, _XML, JSON) and told is not None and told.kind not in ("camera raw", "video", "archive"):
        return told
    return found


def _by_content(head: bytes) -> Seems | None:
    if _is_tiff(head) and is_raw(head):
        return _raw("DNG" if head[:4] in (b"II*\0", b"MM\0*") else "")
    for at, magic, what in _MAGIC:
        if head.startswith(magic, at):
            return what
    if _is_tiff(head) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return PICTURE
    if _PIXMAP.match(head):
        return PICTURE
    if head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return PICTURE
    if head[4:8] == b"ftyp":
        size = max(16, min(int.from_bytes(head[:4], "big"), 256))
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
        return PICTURE if any(brand in _STILL for brand in brands) else _VIDEO
    if head[:4] == b"PK\x03\x04":
        return Seems("numpy arrays", remedy="name them .npz") if b".npy" in head[30:286] else _ZIP
    return _of_text(head)


def _is_tiff(head: bytes) -> bool:
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _of_text(head: bytes) -> Seems | None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return TEXT
    try:
        words = head.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # but for a character that is cut
            return None
        words = head[: error.start].decode("utf-8-sig").lstrip()
    if any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in words):
        return None
    start = words[:1024].lower()
    if "<svg" in start:
        return _DRAWING
    if start.startswith(("<!doctype html", "<html")):
        return _PAGE
    if start.startswith("<"):
        return _XML
    return JSON if start[:1] in ("{", "[") else TEXT
