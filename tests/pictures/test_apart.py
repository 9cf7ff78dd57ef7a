"""Pictures decoded in another process: the same pixels, and no file that ends, fills or holds up the one that asks."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from trainedon.errors import PictureError, UserError
from trainedon.pictures import Rendering, decode
from trainedon.pictures.pixels import apart
from trainedon.pictures.pixels.apart import BROKE, TOO_LARGE, TOO_LONG, decode_safely
from trainedon.pictures.pixels.content import is_plain

WITH = apart._PROGRAM.replace("import serve; serve()", "import serve; import trainedon.pictures.pixels.apart as a; ")
WITH += "a.{}; a.serve()"
FORMATS = ("WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")


@pytest.fixture
def other():
    """Another process of its own, gone after the test."""
    other = apart._Other()
    yield other
    other.close()


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("kind", [*FORMATS, "JPEG", "PNG"])
def test_the_same_pixels_and_facts_as_here(kind, encoded, other):
    data = encoded(kind)
    for rendering in (Rendering(), Rendering(alpha="black", orientation="stored")):
        (here, facts), (there, told) = decode(data, rendering), other.decode(data, rendering)
        np.testing.assert_array_equal(here, there)
        assert facts == told and here.dtype == there.dtype and there.flags.writeable


@pytest.mark.parametrize(
    "data", [b"", b"II*\0\x08\0\0\0", b"RIFF\x10\0\0\0WEBPVP8 ", b"GIF89a", b"no picture", b"8BPS"]
)
def test_the_same_reasons_as_here(data):
    with pytest.raises(PictureError) as here:
        decode(data)
    with pytest.raises(PictureError) as there:
        decode_safely(data)
    assert str(here.value) == str(there.value)


def test_ordinary_jpegs_and_pngs_are_plain_and_what_hides_work_is_not(encoded):
    jpeg, png = encoded("JPEG", quality=90, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"), encoded("PNG")
    assert is_plain(jpeg) and is_plain(encoded("JPEG", progressive=True)) and is_plain(png)
    assert not any(is_plain(encoded(kind)) for kind in FORMATS)
    scans = jpeg.index(b"\xff\xda")
    assert not is_plain(jpeg[:scans] + b"\xff\xfe\0\2" * 300 + jpeg[scans:])
    assert not is_plain(jpeg[:2] + b"\xff\xe1\0\x08Exif\0\0" * 2 + jpeg[2:])
    assert not is_plain(png[:33] + chunk(b"quIx") * 300 + png[33:])
    assert not is_plain(png[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0") + png[33:])
    assert not is_plain(png[:33] + chunk(b"IDAT") * 20_000 + png[33:])
    profile = chunk(b"iCCP", bytes(20_000))
    assert is_plain(png[:33] + profile * 2 + png[33:]) and not is_plain(png[:33] + profile * 20 + png[33:])
    assert not is_plain(png[:-12]) and not is_plain(jpeg[:20]) and not is_plain(png[:20])
    large = Image.new("L", (9000, 9000))
    assert not is_plain(encoded("PNG", large)) and not is_plain(encoded("JPEG", large, progressive=True))


def test_a_file_that_takes_too_long_is_set_aside_and_the_next_is_decoded(encoded, other, monkeypatch):
    monkeypatch.setattr(apart, "_PROGRAM", WITH.format("SECONDS = 0.5"))
    with pytest.raises(PictureError, match=TOO_LONG):
        other.decode(b"P6\n" + b"#" + b"a" * 50_000_000 + b"\n8 8\n255\n" + bytes(192), Rendering())
    assert other.decode(encoded("WEBP"), Rendering())[0].shape == (12, 16, 3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems know no such limit")
def test_a_file_that_takes_too_much_memory_is_set_aside_and_the_next_is_decoded(encoded, other, monkeypatch):
    monkeypatch.setattr(apart, "_PROGRAM", WITH.format("MEMORY = 2**28"))
    with pytest.raises(PictureError, match=TOO_LARGE):
        other.decode(encoded("BMP", Image.new("RGB", (6000, 8000))), Rendering())
    assert other.decode(encoded("WEBP"), Rendering())[0].shape == (12, 16, 3)


@pytest.mark.parametrize(
    "answer",
    [
        "os.abort()",
        "sys.exit()",
        "print('nonsense')",
        "print('[1, 2]')",
        "print('x' * 9999)",
        """print('{"shape": [-1, 8], "facts": {}}')""",
        """print('{"shape": [999999, 999999], "facts": {}}')""",
        """print('{"shape": [8, 8], "facts": {"secret": 1}}')""",
        """print('{"shape": [8, 8], "facts": {}}\\nshort')""",
    ],
)
def test_a_process_that_was_taken_over_is_not_believed(answer, encoded, other, monkeypatch):
    monkeypatch.setattr(apart, "_PROGRAM", f"import os, sys; sys.stdin.readline(); {answer}; sys.stdout.flush()")
    with pytest.raises(PictureError):
        other.decode(encoded("WEBP"), Rendering())
    monkeypatch.undo()
    assert other.decode(encoded("WEBP"), Rendering())[0].shape == (12, 16, 3)


def test_an_interrupt_leaves_no_half_answer_behind(encoded, other, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    other.decode(encoded("WEBP"), Rendering())
    process = other._process
    monkeypatch.setattr(apart, "_received", interrupted)
    with pytest.raises(KeyboardInterrupt):
        other.decode(encoded("WEBP"), Rendering())
    monkeypatch.undo()
    assert process.returncode is not None
    assert other.decode(encoded("BMP"), Rendering())[1]["format"] == "BMP"


def test_a_copy_of_the_process_has_another_one_of_its_own(encoded, other):
    other.decode(encoded("WEBP"), Rendering())
    first, other._owner = other._process, 0  # as after a fork
    try:
        assert other.decode(encoded("WEBP"), Rendering())[0].shape == (12, 16, 3)
        assert other._process is not first and first.poll() is None
    finally:
        apart._ended(first)


def test_the_other_process_ends_with_the_one_that_asks(encoded):
    stream = io.BytesIO(encoded("WEBP"))
    asks = (
        "import sys, os, signal; from trainedon.pictures.pixels import apart;"
        "apart.decode_safely(sys.stdin.buffer.read()); print(apart._OTHER._process.pid, flush=True);"
    )
    for end in ("pass", "os.kill(os.getpid(), signal.SIGKILL)"):
        done = subprocess.run([sys.executable, "-c", asks + end], input=stream.getvalue(), capture_output=True)
        number = int(done.stdout)
        with pytest.raises(ProcessLookupError):
            while True:  # as long as it takes
                os.kill(number, 0)
                time.sleep(0.05)


def test_the_other_process_imports_nothing_large(encoded, other, monkeypatch):
    program = apart._PROGRAM.replace(
        "serve; serve()", "serve; sys.exit(any(m in sys.modules for m in ('torch', 'pyarrow')))"
    )
    monkeypatch.setattr(apart, "_PROGRAM", program)
    with pytest.raises(PictureError, match=BROKE):
        other.decode(encoded("WEBP"), Rendering())
    process = apart._started()
    assert process.wait() == 0
    apart._ended(process)


def test_no_other_process_at_all_is_one_line(encoded, other, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UserError, match="no other process can be started to decode pictures"):
        other.decode(encoded("WEBP"), Rendering())
