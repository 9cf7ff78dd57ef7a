"""Real files of every format and mode, and files that lie, end early or blow up."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile

from trainedon.errors import PictureError
from trainedon.pictures import Rendering, decode
from trainedon.pictures.examining import statistics
from trainedon.pictures.pixels import content
from trainedon.pictures.pixels.decoding import check_pixels
from trainedon.pictures.pixels.picture import unpack

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
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- a drawing -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"8BPS\0\1" + bytes(20), "PSD: save it"),
        (b"\0\0\1\0\1\0" + bytes(20), "ICO: save it"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(20), "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
        (b"\0\0\0\x18ftypisom\0\0\0\1isommp42", "not a JPEG"),
        (b"\x89PNG\r\n\x1a\n", "not a JPEG"),
        (b"GIF89a", "not a JPEG"),
        (b"\xff\xd8\xff", "not a JPEG"),
        (b"MM\0*\0\0\0\x08", "not a JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(data, reason):
    with pytest.raises(PictureError, match=reason):
        decode(data)


def test_formats_outside_the_list_stay_closed(encoded):
    with pytest.raises(PictureError, match="not a JPEG"):
        decode(encoded("PCX"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG2000", {"irreversible": False}),
        ("PPM", {}),
        ("TGA", {}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_more_formats_are_opened_by_their_content(encoded, rgb, kind, options):
    pixels, facts = decode(encoded(kind, **options))
    assert facts["format"] == kind and (facts["width"], facts["height"]) == (16, 12)
    assert np.abs(pixels.astype(int) - rgb).max() <= (4 if kind == "AVIF" else 0)


def test_a_tga_without_its_mark_is_not_guessed(encoded):
    with pytest.raises(PictureError, match="not a JPEG"):
        decode(encoded("TGA")[:-18])


@pytest.mark.parametrize("most", [100, 65535])
def test_a_pgm_is_scaled_by_what_it_says_not_by_what_it_holds(most):
    values = np.array([0, 1, most // 2], ">u2" if most > 255 else "u1")
    pixels, _ = decode(b"P5 3 1 %d\n" % most + values.tobytes())
    np.testing.assert_allclose(pixels[0, :, 0], values / most * 255, atol=1)


def test_ten_bits_become_eight_by_rounding(encoded, rgb):
    pillow_heif = pytest.importorskip("pillow_heif")
    for kind in ("AVIF", "HEIF"):
        if kind == "AVIF" and not pillow_heif.libheif_info()["AVIF"]:
            continue
        stream = io.BytesIO()
        deep = rgb.astype(np.uint16) * 257
        pillow_heif.encode("RGB;16", (16, 12), deep.tobytes(), stream, quality=-1, chroma=444, format=kind)
        pixels, _ = decode(stream.getvalue())
        assert np.abs(pixels.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize(
    ("module", "kind", "name"), [("pillow_heif", "HEIF", "HEIC"), ("pillow_jxl", "JXL", "JPEG XL")]
)
def test_formats_of_the_extras(encoded, rgb, monkeypatch, module, kind, name):
    reader = pytest.importorskip(module)
    if module == "pillow_heif":
        reader.register_heif_opener()
        data = encoded(kind, quality=-1, chroma=444)
    else:
        data = encoded(kind, lossless=True)
    pixels, facts = decode(data)
    assert facts["format"] == kind and np.abs(pixels.astype(int) - rgb).max() <= 3
    with pytest.raises(PictureError):
        decode(data[: len(data) // 2])
    monkeypatch.setattr(content, "_installed", lambda module: False)
    with pytest.raises(PictureError, match=rf"^{name}: convert it, or pip install 'trainedon\[{kind.lower()}\]'$"):
        decode(data)


@pytest.mark.parametrize(("width", "height"), [(16, 12), (1000, 500), (256, 256), (77, 3)])
def test_a_jxl_tells_its_size_before_it_is_decoded(encoded, width, height):
    pytest.importorskip("pillow_jxl")
    image = Image.new("RGB", (width, height), (9, 80, 7))
    for data in (encoded("JXL", image), encoded("JXL", image, exif=b"Exif\0\0" + Image.Exif().tobytes())):
        assert content.jxl_size(data) == (width, height)


def test_a_raw_file_is_not_read_as_its_preview(encoded):
    for tags in ({254: 1, 330: (8,)}, {50706: b"\1\4\0\0"}):
        with pytest.raises(PictureError, match="camera raw: develop it"):
            decode(encoded("TIFF", tiffinfo=tags))


DIALS = {(255, 255, 255): "white", (0, 0, 0): "black", (10, 20, 30): "drop"}


@pytest.mark.parametrize(("colour", "alpha"), DIALS.items())
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_transparency_is_flattened_or_left_out_as_asked(encoded, kind, colour, alpha):
    rgba = np.tile(np.array([10, 20, 30, 0], np.uint8), (16, 16, 1))
    rgba[:, 8:] = (200, 100, 50, 255)
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(
        kind, {}
    )
    pixels, facts = decode(encoded(kind, rgba, **options), Rendering(alpha=alpha))
    assert facts["alpha"] is True
    np.testing.assert_allclose(pixels[:, 0], np.tile(colour, (16, 1)), atol=4 if kind == "AVIF" else 0)
    np.testing.assert_allclose(pixels[:, 15], np.tile((200, 100, 50), (16, 1)), atol=4 if kind == "AVIF" else 0)


def test_alpha_that_hides_nothing_is_none(encoded):
    assert "alpha" not in decode(encoded("PNG", np.full((3, 3, 4), 255, np.uint8)))[1]
    assert "alpha" not in decode(encoded("PNG"))[1]


@pytest.mark.parametrize(("alpha", "key", "rest"), [("white", 255, 255), ("black", 0, 0), ("drop", 9, None)])
def test_palettes_colours_and_canvases_obey_too(encoded, png, alpha, key, rest):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 77, 77, 77])
    for kind in ("PNG", "GIF"):
        pixels, facts = decode(encoded(kind, image, transparency=0), Rendering(alpha=alpha))
        assert facts["alpha"] and pixels[0, :, 0].tolist() == [key, 77]
    deep = png(2, 1, 16, 0, [struct.pack(">HH", 9 * 257, 77 * 257)], struct.pack(">H", 9 * 257))
    pixels, facts = decode(deep, Rendering(alpha=alpha))
    assert facts["alpha"] and pixels[0, :, 0].tolist() == [key, 77]
    data = bytearray(encoded("GIF", Image.new("L", (4, 3), 0)))
    data[6:10] = struct.pack("<HH", 6, 5)
    pixels, facts = decode(bytes(data), Rendering(alpha=alpha))
    assert facts["alpha"] and (rest is None or (pixels[3:] == rest).all())


@pytest.mark.parametrize(("alpha", "expected"), [("auto", 128), ("white", 128), ("black", 1), ("drop", 2)])
def test_arrays_with_four_channels_obey_too(alpha, expected):
    pixels, facts = unpack(np.array([[[2, 2, 2, 128]]], np.uint8), Rendering(alpha=alpha))
    assert pixels.tolist() == [[[expected] * 3]] and facts["alpha"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 7, 8])
def test_what_exif_says_is_left_aside_where_asked(encoded, rgb, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels, facts = decode(encoded(kind, exif=exif, **lossless), Rendering(orientation="stored"))
    assert (facts["width"], facts["height"], facts["orientation"]) == (16, 12, orientation)
    assert np.abs(pixels.astype(int) - rgb).max() <= (4 if kind == "JPEG" else 0)


def test_large_pictures_are_converted_in_parts_to_the_same_pixels(encoded, monkeypatch):
    rng = np.random.default_rng(0)
    rgba, deep = rng.integers(0, 256, (40, 30, 4), np.uint8), rng.integers(0, 2**16, (40, 30), np.uint16)
    files = [encoded("PNG", rgba), encoded("PNG", deep), encoded("TIFF", deep.astype(np.float32)), encoded("JPEG")]
    whole = [decode(data)[0] for data in files]
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.BAND", 100)
    for data, pixels in zip(files, whole, strict=True):
        np.testing.assert_array_equal(decode(data)[0], pixels)


def test_a_very_large_jpeg_is_decoded_at_half_its_size(encoded, monkeypatch):
    y, x = np.mgrid[:64, :96]
    data = encoded("JPEG", np.stack([x * 2, y * 3, x + y], axis=-1).astype(np.uint8), quality=95)
    whole, _ = decode(data)
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.REDUCED", 64 * 96 - 1)
    assert decode(data)[0].shape == whole.shape  # no model would get enough of it
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.ENOUGH", 32)
    half, facts = decode(data)
    assert half.shape == (32, 48, 3) and (facts["width"], facts["height"]) == (96, 64)
    means = whole.reshape(32, 2, 48, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(half - means).mean() < 2


def test_scans_of_a3_and_a2_at_600_dpi_pass(png, monkeypatch):
    for width, height in ((7016, 9921), (9921, 14043)):
        check_pixels(width, height)
    with pytest.raises(PictureError, match="megapixels"):
        check_pixels(15_000, 15_000)
    with pytest.raises(PictureError, match="100 megapixels"):
        check_pixels(11_000, 11_000, "WEBP")


def test_a_picture_of_one_endless_row_is_set_aside(png):
    with pytest.raises(PictureError, match="a side of more than 1000000 pixels"):
        decode(png(64_000_000, 1, 1, 0, [bytes(8_000_000)]))
    pixels, _ = decode(png(1_000_000, 1, 1, 0, [bytes(125_000)]))
    assert statistics(pixels)["mean_r"] == 0


def test_a_jpeg_of_very_many_scans_is_refused_and_what_follows_a_jpeg_is_not_counted(encoded):
    data = encoded("JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    with pytest.raises(PictureError, match="more than 100 scans"):
        decode(data[:-2] + data[at:-2] * 200 + data[-2:])
    np.testing.assert_array_equal(decode(data + b"\xff\xda" * 500)[0], decode(data)[0])


def test_a_tiff_of_very_many_strips_is_refused(encoded):
    data = encoded("TIFF", np.zeros((4, 4), np.uint8))
    entry = data.index(struct.pack("<HH", 273, 4))  # its strip offsets
    with pytest.raises(PictureError, match="strips or tiles"):
        decode(data[: entry + 4] + struct.pack("<I", 1_000_000) + data[entry + 8 :])


@pytest.mark.parametrize("side", [15_000, 60_000])
def test_pixel_bombs_are_refused_before_they_are_unpacked(png, side):
    with pytest.raises(PictureError, match="megapixels"):
        decode(png(side, side, 8, 2, []))


def test_a_file_beyond_the_byte_ceiling_is_refused(encoded, monkeypatch):
    data = encoded("PNG")
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.MAX_BYTES", len(data) - 1)
    with pytest.raises(PictureError, match="larger than"):
        decode(data)


def test_long_texts_and_profiles_of_a_png_do_not_spoil_its_pixels(encoded, rgb):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("comment", "A" * 3_000_000, zip=True)
    text.add_itxt("workflow", "B" * 3_000_000, zip=True)
    pixels, _ = decode(encoded("PNG", pnginfo=text, icc_profile=bytes(3_000_000)))
    np.testing.assert_array_equal(pixels, rgb)


def test_a_png_text_bomb_is_refused(encoded):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("comment", "A" * 80_000_000, zip=True)
    for bomb in ({"pnginfo": text}, {"icc_profile": bytes(80_000_000)}):
        with pytest.raises(PictureError, match=r"^a text or colour profile in it takes more than 16 MiB, or all"):
            decode(encoded("PNG", **bomb))


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
