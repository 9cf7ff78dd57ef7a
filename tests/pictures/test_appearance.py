"""Hash, traces of compression and scaling, and the built-in descriptor."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from trainedon.pictures.appearance import detail, jpeg_trace, layout, perceptual_hash


def smooth(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def grained(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    grain = np.random.default_rng(seed).normal(0, 12, (height, width, 1))
    return np.clip(smooth(seed, height, width) * 0.8 + 25 + grain, 0, 255).astype(np.uint8)


def jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def resized(rgb: np.ndarray, factor: float) -> np.ndarray:
    image = Image.fromarray(rgb)
    return np.asarray(image.resize((round(image.width * factor), round(image.height * factor))))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_the_hash_is_the_signs_of_the_lowest_frequencies_about_their_median():
    rgb = smooth(0)
    small = Image.fromarray(rgb).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    lowest = dctn(np.asarray(small, dtype=float), norm="ortho")[:8, :8].reshape(-1)
    bits = ["0", *("1" if value > np.median(lowest[1:]) else "0" for value in lowest[1:])]
    assert perceptual_hash(rgb) == f"{int(''.join(bits), 2):016x}"


def test_copies_keep_the_hash_and_other_pictures_do_not():
    hashes = [perceptual_hash(smooth(seed)) for seed in range(12)]
    for seed, original in enumerate(hashes):
        rgb = smooth(seed)
        for copy in (jpeg(rgb, 30), resized(rgb, 0.5), resized(rgb, 2), rgb // 8 * 7, np.minimum(rgb, 220) + 20):
            assert distance(original, perceptual_hash(copy.astype(np.uint8))) <= 8
        assert all(distance(original, other) > 12 for other in hashes[seed + 1 :])


def test_pictures_without_structure_have_no_hash():
    y, x = np.mgrid[:64, :64]
    disc = (x - 31.5) ** 2 + (y - 31.5) ** 2 < 400
    plain = [np.full((64, 64), 90), np.full((1, 1), 7), x * 4, y * 4, x // 16 % 2 * 255, disc * 255]
    plain.append(90 + np.random.default_rng(0).integers(0, 2, (64, 64)))  # nothing but the last bit
    assert [perceptual_hash(grey(values)) for values in plain] == [None] * len(plain)
    assert perceptual_hash(grey(disc * 255 * (x > 20) * (y > 25) - 60 * (x + y > 70))) is not None


def test_a_symmetric_picture_has_one_hash_however_it_is_computed():
    half = smooth(3)[:, :64]
    rgb = np.concatenate([half, half[:, ::-1]], axis=1)
    assert perceptual_hash(rgb) == perceptual_hash(rgb[:, ::-1]) != perceptual_hash(half)


def test_a_png_shows_that_it_was_a_jpeg():
    traces = {quality: jpeg_trace(jpeg(grained(1), quality)) for quality in (30, 75, 90)}
    assert jpeg_trace(grained(1)) == pytest.approx(1, abs=0.15)
    assert min(traces.values()) > 2
    assert jpeg_trace(jpeg(grained(1), 75)[4:, 4:]) < 0.6  # the grid is where it was, not where it is looked for
    assert jpeg_trace(resized(jpeg(grained(1), 75), 0.7)) == pytest.approx(1, abs=0.15)


def test_jpeg_trace_by_counting():
    rgb = jpeg(grained(3, 40, 32), 60)
    grey_picture = np.asarray(Image.fromarray(rgb).convert("L"), dtype=float)
    shares = []
    for offset in (0, 4):
        part = grey_picture[offset:, offset:]
        blocks = [
            part[y : y + 8, x : x + 8] for y in range(0, len(part) - 7, 8) for x in range(0, part.shape[1] - 7, 8)
        ]
        small = [abs(value) < 1 for block in blocks for value in dctn(block, norm="ortho").ravel()[1:]]
        shares.append(np.mean(small) + 0.01)
    assert jpeg_trace(rgb) == pytest.approx(shares[0] / shares[1])


def test_jpeg_trace_of_a_large_picture_is_that_of_its_middle():
    large = np.random.default_rng(0).integers(0, 256, (1024, 1100, 3), dtype=np.uint8)
    top, left = 256, 288  # where the middle begins, on a border of blocks
    large[top : top + 512, left : left + 512] = jpeg(grained(2, 512, 512), 10)
    assert jpeg_trace(large) == jpeg_trace(large[top : top + 512, left : left + 512]) > 1.2


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (15, 15), (1, 15), (8, 3)])
def test_pictures_too_small_for_a_grid_have_none(shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert jpeg_trace(rgb) == 1
    assert 0 <= detail(rgb) <= 1
    assert layout(rgb).shape == (224,) and np.isfinite(layout(rgb)).all()


def test_flat_pictures():
    for shape in ((1, 1), (16, 16), (100, 40)):
        flat = np.full((*shape, 3), 77, np.uint8)
        assert jpeg_trace(flat) == 1
        assert detail(flat) == pytest.approx(0, abs=1e-20)
        assert not layout(flat)[64:192].any()


def test_detail_of_noise_is_the_area_of_its_frequencies_and_falls_when_enlarged():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 1), dtype=np.uint8).repeat(3, axis=2)
    assert detail(noise) == pytest.approx(3 / 4, abs=0.02)  # outside a square of half the side
    assert detail(resized(noise, 2)) < detail(noise) / 5
    assert detail(resized(grained(4), 2)) < detail(grained(4)) / 3
    assert detail(resized(smooth(4), 0.1)) > 10 * detail(smooth(4))


def test_layout_says_where_what_is():
    y, x = np.mgrid[:64, :64]
    upright, level = layout(grey(x // 4 % 2 * 255)), layout(grey(y // 4 % 2 * 255))
    gradients = [row[64:192].reshape(16, 8) for row in (upright, level)]
    assert (gradients[0].argmax(axis=1) == 0).all() and (gradients[1].argmax(axis=1) == 4).all()
    assert all(cells.sum(axis=1).min() > 0.9 and cells.sum(axis=1).max() <= 1 for cells in gradients)
    red_above = np.zeros((64, 64, 3), np.uint8)
    red_above[:32, :, 0] = 255
    colours = layout(red_above)[192:].reshape(2, 4, 4)
    np.testing.assert_allclose(colours[:, 0], [[1] * 4, [0.5] * 4], atol=0.01)
    np.testing.assert_allclose(colours[:, 3], 0, atol=0.01)
    np.testing.assert_allclose(layout(red_above)[:64].reshape(8, 8)[[0, 7]], [[0.299] * 8, [0] * 8], atol=0.01)


def test_layout_is_of_one_length_and_knows_a_picture_at_another_size():
    first, other = layout(smooth(5)), layout(smooth(6))
    assert first.dtype == np.float32 and first.shape == (224,) and np.abs(first).max() <= 1
    copy = layout(resized(smooth(5), 0.5))
    assert np.linalg.norm(first - copy) < np.linalg.norm(first - other) / 5
