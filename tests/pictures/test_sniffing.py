"""What a file seems to be, by its first bytes and by its name."""

import re
import struct
from io import BytesIO

import pytest
from PIL import Image

from trainedon.errors import PictureError
from trainedon.formats.reasons import PASSED
from trainedon.pictures.pixels.decoding import decode
from trainedon.pictures.pixels.sniffing import HEAD, is_raw, kind_of, seems


def tiff(order, *tags):
    """A TIFF of one directory and nothing else; tags: (number, value) of one long each."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return (
        head + struct.pack(f"{order}H", len(tags)) + b"".join(struct.pack(f"{order}HHII", n, 4, 1, v) for n, v in tags)
    )


def media(*brands):
    return struct.pack(">I", 8 + 4 * len(brands) + 4) + b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])


PICTURES = {
    "JPEG XL": b"\xff\x0a\x10",
    "JPEG XL in a box": b"\0\0\0\x0cJXL \r\n\x87\n",
    "AVIF": media(b"avif", b"mif1"),
    "HEIC": media(b"mif1", b"heic"),
    "TIFF": tiff("<", (256, 4), (257, 4)),
    "TIFF of the other order": tiff(">", (256, 4)),
    "a page of a TIFF": tiff("<", (254, 2)),
    "PGM of text": b"P2 # by hand\n2 1 255\n0 9\n",
    "PBM": b"P4\n8 1\n\xff",
    "PPM": b"P6\n# by hand\n2 2\n255\n" + bytes(12),
}


@pytest.mark.parametrize("name", ["a", "b.jpg_large", "c.jpg?width=640", "d.jpg.1", "e.txt", "f.cr2", "g.mp4"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_picture_is_one_whatever_it_is_called(encoded, kind, name):
    assert seems(encoded(kind)[:HEAD], name).picture


@pytest.mark.parametrize("head", PICTURES.values(), ids=PICTURES)
def test_pictures_of_more_formats(head):
    assert seems(head, "a").picture and seems(head, "a.dat").picture


@pytest.mark.parametrize(
    ("name", "head", "kind", "detail"),
    [
        ("a", b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "camera raw", "CR2"),
        ("a.tif", b"FUJIFILMCCD-RAW 0201", "camera raw", "RAF"),
        ("a", media(b"crx ", b"isom"), "camera raw", "CR3"),
        ("a.nef", tiff(">", (256, 4)), "camera raw", "NEF"),  # a TIFF inside, a raw by its name
        ("a.ARW", tiff("<", (254, 1), (330, 99)), "camera raw", "ARW"),
        ("a", tiff("<", (254, 1), (330, 99)), "camera raw", "DNG"),
        ("a", tiff("<", (50706, 1)), "camera raw", "DNG"),
        ("a", tiff(">", (262, 32803)), "camera raw", "DNG"),
        ("a.cr2", b"\x00\x01unknown\xff\xfe", "camera raw", "CR2"),
        ("a.psd", b"8BPS\0\1", "layered picture", "PSD"),
        ("a.kra", b"PK\3\4" + bytes(30), "layered picture", "KRA"),
        ("a.svg", b'<?xml version="1.0"?>\n<svg>', "drawing", "SVG"),
        ("a", b"%PDF-1.7", "PDF", ""),
        ("a", b"PK\3\4" + bytes(30), "archive", "ZIP"),
        ("a.docx", b"PK\3\4" + bytes(30), "document", ""),
        ("a.tar.gz", b"\x1f\x8b\x08", "archive", "gzip"),
        ("a", bytes(257) + b"ustar\0", "archive", "tar"),
        ("a.mov", media(b"qt  "), "video", ""),
        ("a", b"\x1aE\xdf\xa3" + bytes(9), "video", ""),
        ("a.jpeg", b"<!DOCTYPE html><html>", "web page", "HTML"),
        ("a.json", b'{"caption": "x"}', "JSON file", ""),
        ("a.csv", b"a,b\n1,2\n", "CSV table", ""),
        ("a", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer", ""),
        ("README", "Grüße".encode() + b"\xc3", "text file", ""),  # cut within a character
        ("a.txt", "Grüße".encode("utf-16"), "text file", ""),
        ("notes", b"P3 2 players won", "text file", ""),
        ("notes", b"P6 2 2 players won", "text file", ""),
        ("notes.txt", b"P3 2 2 255 players won", "text file", ""),
        ("a.txt", b"GIF89a is a format", "text file", ""),
        ("a.csv", b"BZh,b\n1,2\n", "CSV table", ""),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer", ""),
        ("a", b"PAR1", "parquet table", ""),
        ("a", b"", "empty file", ""),
        ("a.safetensors", b"\x10\0\0\0\0\0\0\0{}\xff\xfe", "model or tensor file", ""),
        ("a", b"BMW\xff is no bitmap", "file of an unknown kind", ""),
        ("a", bytes(64), "file of an unknown kind", ""),
    ],
)
def test_what_is_no_picture_is_named(name, head, kind, detail):
    found = seems(head, name)
    assert not found.picture and (found.kind, found.detail) == (kind, detail)
    assert found.reason.startswith(PASSED) and kind_of(found.reason) == kind


def test_a_tiff_that_says_nonsense_is_no_raw():
    for data in (b"II*\0", b"II*\0" + b"\xff" * 4, tiff("<", (254, 1))[:-5], b"MM\0*\0\0\0\x08\xff\xff" + bytes(9)):
        assert not is_raw(data)


def test_a_web_page_that_is_called_a_picture_is_named():
    for data, kind in (
        (b"<html><body>404", "web page (HTML)"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\3\4" + bytes(40), "archive"),
    ):
        with pytest.raises(PictureError, match=f"not a JPEG, .*it seems to be: {re.escape(kind)}"):
            decode(data)
    stream = BytesIO()
    Image.new("RGB", (2, 2)).save(stream, "PNG")
    with pytest.raises(PictureError) as error:
        decode(stream.getvalue()[:20])
    assert "seems" not in str(error.value)


def test_a_pixmap_that_is_called_a_text_is_one_by_its_bytes():
    assert seems(PICTURES["PPM"], "a.txt").picture and not seems(PICTURES["PGM of text"], "a.txt").picture
