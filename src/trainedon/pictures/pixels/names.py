"""What a file's name says: whether it is a picture, or holds many, and how it is written as text."""

from __future__ import annotations

import re

READABLE: tuple[str, ...] = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff")
READABLE += (".apng", ".pjpeg", ".pjp", ".mpo")  # JPEG and PNG under other names
READABLE += (".avif", ".jp2", ".j2k", ".jpx", ".j2c", ".ppm", ".pgm", ".pbm", ".pnm", ".tga")
READABLE += (".heic", ".heif", ".hif", ".jxl")  # where what reads them is installed
# Pictures too, of formats that are not opened: they are listed, and named as unusable.
OTHER_PICTURES = (".ico",)
PARQUET, ARRAYS, TAR = ".parquet", ".npz", ".tar"
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.lz4")
# What systems and programs keep for themselves, in lower case; so are all names that begin with a dot.
SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin", "lost+found")
# What browsers and download programs put behind a suffix: `.jpg_large`, `.jpg?width=640`, `.jpg.1`, `.jpg~orig`.
_SUFFIXES = "|".join(map(re.escape, (*READABLE, *OTHER_PICTURES)))
_LENGTHENED = re.compile(rf"(.+)(?:{_SUFFIXES})(?:[^\w.].*|_.*|\.\d+)", re.DOTALL | re.IGNORECASE)
_LONGEST_LABEL = 9  # digits; a longer number is the number of something else


def has(name: str, *suffixes: str) -> bool:
    """Whether a name ends with one of these, in capitals or not."""
    return name.lower().endswith(suffixes)


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture file, readable or not."""
    return has(name, *READABLE, *OTHER_PICTURES)


def is_hidden(leaf: str) -> bool:
    """Whether a file or folder of this name, without the folders above, is hidden or a system's own."""
    return leaf.startswith(".") or leaf.lower() in SYSTEM


def stem(name: bytes) -> bytes:
    """A path without the suffix of its last part, if that has one."""
    slash, dot = name.rfind(b"/"), name.rfind(b".")
    return name[:dot] if dot > slash + 1 else name


def picture_stem(name: bytes) -> bytes:
    """A picture's path without a picture's suffix and what browsers put behind one; as it is where it has none."""
    if is_picture(spelled(name)):
        return stem(name)
    folder, slash, leaf = name.rpartition(b"/")
    longer = _LENGTHENED.fullmatch(spelled(leaf))
    return folder + slash + raw(longer[1]) if longer else name


def raw(name: str) -> bytes:
    """A name as Python spells it -> its bytes, by which it can be stored: not every file name is text."""
    return name.encode("utf-8", "surrogateescape")


def spelled(name: bytes) -> str:
    """Undoes `raw`."""
    return name.decode("utf-8", "surrogateescape")


def text(name: bytes) -> str:
    """A name as text that can be stored: bytes that are no UTF-8 are spelled out as `\\xff`."""
    return name.decode("utf-8", "backslashreplace")


def is_text(name: bytes) -> bool:
    """Whether `text` gives the name as it is."""
    return raw(text(name)) == name


def number(digits: str) -> int | None:
    """The class number that a text is, if it is one."""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_LABEL else None
