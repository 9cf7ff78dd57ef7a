"""A file and its mirror image are treated alike: read first and mirrored then, or the other way round."""

import io
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from trainedon.pictures import Batch, Rendering, fit
from trainedon.pictures.batch import ROUNDING, SMOOTH, VIEWS, reads_alike
from trainedon.pictures.pixels.picture import Picture, digest, unpack
from trainedon.pictures.pixels.rendering import DEFAULT, FITS, RESAMPLES

# (height, width): even, odd, no multiples of 8, of the model's size, enlarged and reduced, wide and high
SIZES = [(32, 32), (33, 33), (45, 64), (64, 45), (31, 90), (100, 149), (101, 150), (13, 17), (16, 24), (109, 89)]
MODELS = [(32, 32), (33, 33), (24, 40)]
MIRRORED = {None: 2, 2: None, 3: 4, 4: 3, 5: 6, 6: 5, 7: 8, 8: 7}  # EXIF orientations of mirror images


def picture(height, width, channels=3):
    rng = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[:height, :width]
    waves = 128 + 60 * np.sin(x / 3.1 + y / 5.3)[..., None] + rng.normal(0, 30, (height, width, channels))
    return np.clip(waves, 0, 255).astype(np.uint8)


def file(pixels, kind, orientation=None):
    out, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(out, kind, exif=exif)
    return out.getvalue()


def read(data, rendering=DEFAULT):
    return Picture("a", digest(data), *unpack(data, rendering), None)


def batch_of(*pictures, size=(32, 32), rendering=DEFAULT):
    made = [Picture(str(i), f"{i:064x}", np.ascontiguousarray(rgb), {}, None) for i, rgb in enumerate(pictures)]
    return Batch.from_pictures(made, size, 3, rendering)


def turned(rgb, view):
    return np.ascontiguousarray(np.flip(rgb, [axis + 2 for axis in VIEWS[view]]))


RENDERINGS = [Rendering(fit=f, resample=r) for f, r in product(FITS, RESAMPLES)]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("rendering", RENDERINGS, ids=str)
def test_where_reading_is_said_to_be_alike_it_is_to_two_levels(rendering, view):
    alike = 0
    for (height, width), size in product(SIZES, MODELS):
        rgb = picture(height, width)
        if reads_alike(width, height, size, rendering, view):
            alike += 1
            there = fit(turned(rgb, view), size, 3, rendering).flip(VIEWS[view])
            assert (fit(rgb, size, 3, rendering) - there).abs().max() <= ROUNDING, (height, width, size)
    every = rendering.fit == "squash" and rendering.resample in SMOOTH
    assert alike == len(SIZES) * len(MODELS) if every else alike


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("rendering", RENDERINGS, ids=str)
def test_a_file_and_its_view_change_places(rendering, view):
    for shape, size in product(SIZES, MODELS):
        rgb = picture(*shape)
        one, other = (batch_of(each, size=size, rendering=rendering) for each in (rgb, turned(rgb, view)))
        for here, there in ((one, other), (other, one)):
            moved = here.for_view(view).pixels.flip(VIEWS[view])
            torch.testing.assert_close(moved, there.pixels, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", MIRRORED)
def test_a_file_that_exif_mirrors_is_the_mirror_image(kind, orientation):
    pixels = picture(45, 67)
    one, other = (read(file(pixels, kind, exif)) for exif in (orientation, MIRRORED[orientation]))
    np.testing.assert_array_equal(one.rgb[:, ::-1], other.rgb)
    here, there = (Batch.from_pictures([each], (32, 32), 3) for each in (one, other))
    torch.testing.assert_close(here.for_view("mirror").pixels.flip(-1), there.pixels, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("alpha", ["white", "black", "drop"])
def test_transparency_is_flattened_alike(alpha):
    pixels, rendering = picture(40, 64, 4), Rendering(alpha=alpha)
    one, other = (read(file(each, "PNG"), rendering) for each in (pixels, pixels[:, ::-1].copy()))
    np.testing.assert_array_equal(one.rgb[:, ::-1], other.rgb)


def test_where_reading_is_alike_nothing_else_is_kept():
    pictures = [picture(64, 64), picture(64, 68)]
    assert not batch_of(*pictures).turned_first
    batch = batch_of(*pictures, picture(64, 67))
    assert torch.equal(batch.for_view("mirror").pixels[:2], batch.pixels[:2])
    assert not torch.equal(batch.for_view("mirror").pixels[2], batch.pixels[2])
    assert torch.equal(batch[1:].for_view("mirror").pixels, batch.for_view("mirror").pixels[1:])
    assert torch.equal(batch.take([0, 1]).for_view("mirror").pixels, batch.pixels[:2])
