"""Bringing pictures to a model's size: exact where nothing has to change, centred where something has."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from trainedon.condition import Captions
from trainedon.errors import UserError
from trainedon.pictures import Batch, Rendering, fit, from_levels, scan, to_levels


def test_a_picture_that_fits_is_passed_on_bit_for_bit():
    levels = np.arange(256, dtype=np.uint8)
    rgb = np.stack([levels.reshape(16, 16), levels[::-1].reshape(16, 16), np.full((16, 16), 7, np.uint8)], axis=-1)
    fitted = fit(rgb, (16, 16), 3)
    expected = rgb.astype(np.float32) / np.float32(127.5) - np.float32(1)
    assert fitted.dtype == torch.float32 and fitted.shape == (3, 16, 16) and fitted.is_contiguous()
    np.testing.assert_array_equal(fitted.numpy(), expected.transpose(2, 0, 1))
    assert fitted.min() == -1 and fitted.max() == 1


@pytest.mark.parametrize(("height", "width", "top", "left"), [(16, 20, 0, 2), (24, 16, 4, 0), (16, 16, 0, 0)])
def test_a_picture_whose_shorter_side_fits_is_only_cropped(height, width, top, left):
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = rgb[top : top + 16, left : left + 16].transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - 1
    np.testing.assert_array_equal(fit(rgb, (16, 16), 3).numpy(), expected)


@pytest.mark.parametrize(("height", "width"), [(50, 80), (80, 50), (33, 97), (10, 30), (31, 17), (64, 64)])
@pytest.mark.parametrize("size", [(16, 16), (24, 16), (16, 40)])
def test_resizing_equals_resize_then_centre_crop(height, width, size):
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([128 + 100 * np.sin(x / 7), 128 + 100 * np.cos(y / 5), (x * 3 + y) % 256], axis=-1).astype(np.uint8)
    scale = max(size[0] / height, size[1] / width)
    whole = (max(size[1], int(width * scale + 1e-9)), max(size[0], int(height * scale + 1e-9)))
    resized = np.asarray(Image.fromarray(rgb).resize(whole, Image.Resampling.LANCZOS)).astype(int)
    top, left = round((whole[1] - size[0]) / 2), round((whole[0] - size[1]) / 2)
    cropped = resized[top : top + size[0], left : left + size[1]]
    fitted = ((fit(rgb, size, 3).numpy() + 1) * 127.5).transpose(1, 2, 0)
    assert np.abs(fitted - cropped).max() <= 1.01  # one level of rounding


def test_the_crop_is_centred():
    rgb = np.zeros((40, 120, 3), np.uint8)
    rgb[:, 40:80] = 255  # exactly what a square cut from the middle holds
    assert fit(rgb, (40, 40), 3).min() == 1
    assert fit(rgb, (20, 20), 3)[:, :, 3:-3].min() == 1  # Lanczos reaches three pixels far
    half = fit(rgb[:, 20:100], (20, 20), 3)
    torch.testing.assert_close(half, half.flip(2), rtol=0, atol=0)


def test_grey_models_get_one_channel():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    fitted = fit(np.repeat(grey[..., None], 3, axis=2), (16, 16), 1)
    np.testing.assert_array_equal(fitted.numpy(), (grey.astype(np.float32) / np.float32(127.5) - np.float32(1))[None])
    colour = np.broadcast_to(np.array([200, 100, 50], np.uint8), (4, 4, 3)).copy()
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert (fit(colour, (4, 4), 1).numpy() == np.float32(luma) / np.float32(127.5) - np.float32(1)).all()


def test_long_thin_pictures_are_not_blown_up():
    thin = np.full((1, 3_000_000, 3), 255, np.uint8)
    assert fit(thin, (8, 8), 3).eq(1).all()
    assert fit(np.zeros((1, 1, 3), np.uint8), (8, 8), 3).eq(-1).all()


@pytest.mark.parametrize(
    ("rgb", "channels"),
    [
        (np.zeros((4, 4, 3), np.float32), 3),
        (np.zeros((4, 4), np.uint8), 3),
        (np.zeros((3, 4, 4), np.uint8), 3),
        (np.zeros((0, 4, 3), np.uint8), 3),
        (np.zeros((4, 4, 3), np.uint8), 4),
    ],
)
def test_wrong_input_to_fit_is_refused(rgb, channels):
    with pytest.raises(ValueError, match="need"):
        fit(rgb, (4, 4), channels)


@pytest.fixture
def pixels():
    return torch.linspace(-1, 1, 5 * 3 * 4 * 4).reshape(5, 3, 4, 4)


def test_digests_of_tensors_are_those_of_their_rows(pixels):
    batch = Batch.of(pixels)
    assert batch.sha256 == tuple(hashlib.sha256(row.numpy().tobytes()).hexdigest() for row in pixels)
    assert len(set(batch.sha256)) == 5 and len(batch) == 5 and batch.labels is None
    assert Batch.of(pixels.contiguous(memory_format=torch.channels_last)).sha256 == batch.sha256
    assert Batch.of(pixels[2:4]).sha256 == batch.sha256[2:4]
    assert Batch.of(pixels.clone().requires_grad_()).sha256 == batch.sha256


def test_slices_keep_pixels_digests_and_labels_together(pixels):
    batch = Batch.of(pixels, labels=torch.arange(5))
    part = batch[1:3]
    assert len(part) == 2 and torch.equal(part.pixels, pixels[1:3]) and part.sha256 == batch.sha256[1:3]
    assert torch.equal(part.labels, torch.tensor([1, 2]))
    assert len(batch[4:9]) == 1 and len(batch[5:]) == 0 and batch[:2][1:].sha256 == batch.sha256[1:2]
    with pytest.raises(TypeError, match="slices"):
        batch[0]


def test_a_batch_whose_parts_do_not_belong_together_is_refused(pixels):
    with pytest.raises(ValueError, match="digests"):
        Batch(pixels, ("a",))
    with pytest.raises(ValueError, match="float32"):
        Batch.of(pixels.double())
    with pytest.raises(ValueError, match="float32"):
        Batch.of(pixels[0])
    for labels in (torch.arange(4), torch.zeros(5)):
        with pytest.raises(ValueError, match="labels"):
            Batch.of(pixels, labels=labels)
    with pytest.raises(ValueError, match="5 pictures but a condition of 4 rows"):
        replace(Batch.of(pixels), condition=Captions(("a cat",) * 4))


def test_pictures_become_a_batch(folder):
    entries = scan(folder("3/a.png", "5/b.png", "c.png"))
    pictures = [entry.read() for entry in entries]
    batch = Batch.from_pictures(pictures, (12, 12), 3)
    assert batch.pixels.shape == (3, 3, 12, 12) and batch.sha256 == tuple(p.sha256 for p in pictures)
    assert torch.equal(batch.pixels[1], fit(pictures[1].rgb, (12, 12), 3))
    assert batch.labels is None
    assert torch.equal(Batch.from_pictures(pictures[:2], (8, 8), 1).labels, torch.tensor([3, 5]))


def test_eight_bit_levels_come_back_exactly_and_what_lies_outside_is_clamped():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    pixels = from_levels(levels)
    assert pixels.dtype == torch.float32 and pixels.is_contiguous() and (pixels.min(), pixels.max()) == (-1, 1)
    assert np.array_equal(to_levels(pixels), levels)
    assert to_levels(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


@pytest.mark.parametrize("resample", ["lanczos", "bicubic", "bilinear", "box", "nearest"])
def test_shapes_are_squashed_padded_and_cropped_as_pil_does_it(resample):
    rgb = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    image, how = Image.fromarray(rgb), Image.Resampling[resample.upper()]

    def levels(fit_by):
        return to_levels(fit(rgb, (20, 16), 3, Rendering(fit=fit_by, resample=resample))).transpose(1, 2, 0)

    np.testing.assert_array_equal(levels("squash"), np.asarray(image.resize((16, 20), how)))
    np.testing.assert_array_equal(levels("pad"), np.asarray(ImageOps.pad(image, (16, 20), how)))
    covered = np.asarray(image.resize((32, 20), how))[:, 8:24]
    np.testing.assert_array_equal(levels("crop"), covered)


def test_bars_are_black_and_thin_pictures_keep_a_pixel():
    white = np.full((4, 400, 3), 255, np.uint8)
    padded = fit(white, (8, 8), 1, Rendering(fit="pad"))
    assert padded[0, 4].eq(1).all() and padded.eq(1).sum() == 8 and padded.eq(-1).sum() == 56


@pytest.mark.parametrize("choice", [{"alpha": "grey"}, {"orientation": "none"}, {"fit": "auto"}, {"resample": "cubic"}])
def test_a_choice_that_there_is_not_is_refused(choice):
    with pytest.raises(UserError, match="choose from"):
        Rendering(**choice)
