"""Files as somebody might drop them on the page: a picture, and what only looks like one."""

from __future__ import annotations

import io
import zipfile
import zlib

from PIL import Image


def png(number: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), (number, 2 * number % 256, 7)).save(stream, "PNG")
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG that says it is 60 000 x 60 000."""
    head = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [(len(one) - 4).to_bytes(4, "big") + one + zlib.crc32(one).to_bytes(4, "big") for one in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("../../evil.png", png())
    return stream.getvalue()
