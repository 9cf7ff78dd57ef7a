"""Real files of every format and mode, and files that lie, end early or blow up."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile

from trainedon.errors import PictureError
from trainedon.pictures import decode

WHITE, BLACK = [255, 255, 255], [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_come_back_exactly(encoded, rgb, kind, options):
    data = encoded(kind, **options)
    pixels, facts = decode(data)
    np.testing.assert_array_equal(pixels, rgb)
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    assert facts == {"format": kind, "mode": "RGB", "width": 16, "height": 12, "bytes": len(data)}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("WEBP", {"quality": 95}),
    ],
)
def test_lossy_formats_come_back_closely(encoded, rgb, kind, options):
    pixels, facts = decode(encoded(kind, **options))
    assert np.abs(pixels.astype(int) - rgb).mean() < 4
    assert facts["format"] == kind


def test_a_multi_picture_jpeg_is_a_jpeg(encoded, rgb):
    image = Image.fromarray(rgb)
    data = encoded("MPO", image, save_all=True, append_images=[image.rotate(180)], quality=95)
    pixels, facts = decode(data)
    assert np.abs(pixels.astype(int) - rgb).mean() < 4
    assert facts["format"] == "JPEG"


def test_animations_show_their_first_frame(encoded):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        pixels, _ = decode(encoded(kind, frames[0], save_all=True, append_images=frames[1:], **options))
        assert (pixels == [255, 0, 0]).all(), kind


def test_a_gif_frame_smaller_than_its_canvas_lies_on_white(encoded):
    data = bytearray(encoded("GIF", Image.new("L", (4, 3), 0)))
    data[6:10] = struct.pack("<HH", 6, 5)  # a larger logical screen, the frame stays 4 x 3 at its corner
    pixels, _ = decode(bytes(data))
    assert pixels.shape == (5, 6, 3)
    assert (pixels[:3, :4] == 0).all() and (pixels[3:] == 255).all() and (pixels[:, 4:] == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(encoded, rgb, kind, orientation):
    as_stored = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb, 1),
        7: rgb[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(rgb, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels, facts = decode(encoded(kind, np.ascontiguousarray(as_stored), exif=exif, **lossless))
    assert pixels.shape == rgb.shape and (facts["width"], facts["height"]) == (16, 12)
    assert np.abs(pixels.astype(int) - rgb).max() <= (4 if kind == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b""])
def test_broken_exif_does_not_spoil_the_pixels(encoded, rgb, exif):
    pixels, _ = decode(encoded("JPEG", quality=100, subsampling=0, exif=exif))
    assert np.abs(pixels.astype(int) - rgb).max() <= 4


def test_alpha_is_flattened_on_white(encoded):
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        pixels, facts = decode(encoded(kind, rgba, **options))
        assert facts["mode"] == "RGBA"
        np.testing.assert_array_equal(pixels, [[[10, 20, 30], WHITE, [127, 127, 127]]], kind)


def test_grey_with_alpha_is_flattened_on_white(encoded):
    image = Image.merge("LA", [Image.new("L", (2, 1), 40), Image.fromarray(np.array([[255, 0]], np.uint8))])
    pixels, facts = decode(encoded("PNG", image))
    assert facts["mode"] == "LA"
    np.testing.assert_array_equal(pixels, [[[40] * 3, WHITE]])


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", 1), ("PNG", b"\xff\x00"), ("GIF", 1)])
def test_transparent_palette_entries_are_white(encoded, kind, transparency):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    image.putpalette([9, 8, 7, 0, 0, 0])
    pixels, facts = decode(encoded(kind, image, transparency=transparency))
    assert facts["mode"] == "P"
    np.testing.assert_array_equal(pixels, [[[9, 8, 7], WHITE], [WHITE, [9, 8, 7]]])


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (1, 0, b"\x40", (0,), [WHITE, WHITE]),
        (1, 0, b"\x00", (1,), [BLACK, BLACK]),
        (2, 0, b"\x10", (0,), [WHITE, [85] * 3]),
        (2, 0, b"\x10", (1,), [BLACK, WHITE]),
        (4, 0, b"\x2f", (2,), [WHITE, WHITE]),
        (8, 0, b"\x02\x03", (2,), [WHITE, [3] * 3]),
        (8, 2, b"\x01\x02\x03\x01\x02\x04", (1, 2, 3), [WHITE, [1, 2, 4]]),
        (16, 0, b"\x00\x00\x80\x00", (0,), [WHITE, [128] * 3]),
        (16, 2, b"\x01\x00\x02\x00\x03\x00\x01\x00\x02\x00\x09\x00", (256, 512, 768), [WHITE, [1, 2, 9]]),
    ],
)
def test_the_transparent_colour_of_a_png_is_white_at_every_depth(png, depth, colour, row, key, expected):
    data = png(2, 1, depth, colour, [row], struct.pack(f">{len(key)}H", *key))
    np.testing.assert_array_equal(decode(data)[0], [expected])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(encoded, kind):
    deep = np.array([[0, 1, 128, 129, 257, 30000, 65407, 65535]], dtype=np.uint16)
    pixels, facts = decode(encoded(kind, deep))
    assert facts["mode"] == "I;16"
    np.testing.assert_array_equal(pixels[0, :, 0], np.round(deep[0] / 257))
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_every_8_bit_level_survives_16_bits(encoded, png):
    levels = np.arange(256)
    deep = (levels * 257).astype(np.uint16)
    np.testing.assert_array_equal(decode(encoded("PNG", deep[None]))[0][0, :, 0], levels)
    row = np.repeat(deep, 3).astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(png(256, 1, 16, 2, [row]))[0][0], np.repeat(levels, 3).reshape(256, 3))


def test_big_endian_tiff_is_scaled(encoded):
    image = Image.frombytes("I;16B", (3, 1), np.array([0, 32896, 65535], ">u2").tobytes())
    np.testing.assert_array_equal(decode(encoded("TIFF", image))[0][0, :, 0], [0, 128, 255])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 254.6]], np.float32), [0, 100, 255]),
        (np.array([[0, 257, 65535]], np.float32), [0, 1, 255]),
    ],
)
def test_32_bit_tiff_takes_the_smallest_customary_scale(encoded, values, expected):
    np.testing.assert_array_equal(decode(encoded("TIFF", values))[0][0, :, 0], expected)


@pytest.mark.parametrize("values", [[[-1, 5]], [[0, 70000]], [[0.0, np.nan]], [[0.0, np.inf]], [[-0.5, 0.5]]])
def test_32_bit_tiff_of_unknown_scale_is_refused(encoded, values):
    values = np.array(values)
    values = values.astype(np.int32 if values.dtype.kind == "i" else np.float32)
    with pytest.raises(PictureError, match="unknown brightness scale"):
        decode(encoded("TIFF", values))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_which_zero_is_white_is_inverted(encoded, dtype):
    top = np.iinfo(dtype).max
    data = encoded("TIFF", np.array([[0, top]], dtype), tiffinfo={262: 0})
    with Image.open(io.BytesIO(data)) as image:
        assert image.tag_v2[262] == 0
    # For 8 bits Pillow inverts when it writes and when it reads; for 16 it does neither.
    expected = [0, 255] if dtype == np.uint8 else [255, 0]
    np.testing.assert_array_equal(decode(data)[0][0, :, 0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted(encoded, kind):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels, facts = decode(encoded(kind, image))
    assert facts["mode"] == "CMYK"
    assert (pixels[..., 0] > 245).all() and (pixels[..., 1:] < 10).all()


@pytest.mark.parametrize("mode", ["1", "L"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_becomes_three_equal_channels(encoded, kind, mode):
    grey = Image.fromarray(np.array([[0, 255, 0], [255, 255, 0]], np.uint8)).convert(mode)
    pixels, _ = decode(encoded(kind, grey))
    np.testing.assert_array_equal(pixels, np.repeat(np.array(grey.convert("L"))[..., None], 3, axis=2))


def test_lab_is_refused_with_a_reason(encoded):
    with pytest.raises(PictureError, match="colour mode LAB"):
        decode(encoded("TIFF", Image.new("LAB", (4, 4), (50, 0, 0))))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_a_truncated_file_is_refused_or_whole_but_never_filled_up(encoded, kind, options):
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    data = encoded(kind, noise, **options)
    whole, _ = decode(data)
    refused = 0
    for length in range(0, len(data), 7):
        try:
            pixels, _ = decode(data[:length])
        except PictureError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert refused > 0.9 * len(range(0, len(data), 7))


def test_truncation_is_named_even_when_another_library_told_pillow_to_be_lenient(encoded, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded("JPEG")
    with pytest.raises(PictureError, match="truncated"):
        decode(data[: len(data) * 3 // 4])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"this is only text, whatever its name says\n" * 9, "not a JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG"),
        (b"\x89PNG\r\n\x1a\n", "not a JPEG"),
        (b"GIF89a", "not a JPEG"),
        (b"\xff\xd8\xff", "not a JPEG"),
        (b"MM\0*\0\0\0\x08", "not a JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(data, reason):
    with pytest.raises(PictureError, match=reason):
        decode(data)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "JPEG2000", "PCX"])
def test_formats_outside_the_list_stay_closed(encoded, kind):
    with pytest.raises(PictureError, match="not a JPEG"):
        decode(encoded(kind))


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_pixel_bombs_are_refused_before_they_are_unpacked(png, side):
    with pytest.raises(PictureError, match="megapixels"):
        decode(png(side, side, 8, 2, []))


def test_a_file_beyond_the_byte_ceiling_is_refused(encoded, monkeypatch):
    data = encoded("PNG")
    monkeypatch.setattr("trainedon.pictures.decoding.MAX_BYTES", len(data) - 1)
    with pytest.raises(PictureError, match="larger than"):
        decode(data)


def test_a_png_text_bomb_is_refused(encoded):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("comment", "A" * 80_000_000, zip=True)
    with pytest.raises(PictureError):
        decode(encoded("PNG", pnginfo=text))


def test_reasons_are_one_printable_line(encoded):
    rng = np.random.default_rng(0)
    files = [encoded(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")]
    refused = 0
    for _ in range(600):  # broken bytes in real files: a picture or a PictureError, nothing else
        data = bytearray(files[rng.integers(len(files))])
        for place in rng.integers(0, min(len(data), 250), size=4):
            data[place] = rng.integers(256)
        try:
            decode(bytes(data))
        except PictureError as error:
            refused += 1
            assert str(error).isprintable() and 0 < len(str(error)) < 130
    assert refused > 100
