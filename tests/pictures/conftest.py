"""Small pictures and files, made when a test asks for them."""

import io
import os
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rgb():
    """uint8 (12, 16, 3), smooth and without symmetry, so that turned or mirrored copies differ plainly."""
    y, x = np.mgrid[0:12, 0:16]
    return np.stack([x * 15, y * 20, (x + y) * 4 + 90], axis=-1).astype(np.uint8)


@pytest.fixture
def encoded(rgb):
    """A function (format, image or array or None, options) -> bytes of a picture file."""

    def encode(kind: str, image=None, **options) -> bytes:
        image = rgb if image is None else image
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    return encode


@pytest.fixture
def png():
    """A function that writes a PNG by hand, for depths and headers that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def write(width, height, depth, colour, rows: list[bytes], transparent: bytes | None = None) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
        key = b"" if transparent is None else chunk(b"tRNS", transparent)
        body = zlib.compress(b"".join(b"\0" + row for row in rows))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + key + chunk(b"IDAT", body) + chunk(b"IEND", b"")

    return write


@pytest.fixture
def folder(tmp_path, encoded, rgb):
    """A function (names...) that writes a different small PNG under each name below a new folder."""

    def write(*names: str) -> Path:
        for shade, name in enumerate(names):
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded("PNG", rgb // 2 + np.uint8(shade)))
        return tmp_path / "pictures"

    return write


@pytest.fixture
def powerless():
    """A folder that everybody may enter, and for the length of the test no super-user's rights."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    user = os.geteuid()
    Image.init()
    if user == 0:
        os.chown(place, 65534, 65534)
        os.seteuid(65534)
    yield place
    if user == 0:
        os.seteuid(user)
    for path in place.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(place)
