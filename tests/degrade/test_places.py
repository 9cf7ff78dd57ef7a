import numpy as np
import pytest
import torch
from scipy import ndimage

from trainedon.degrade import places
from trainedon.errors import UserError
from trainedon.noise import generator

SIZES = [(32, 32), (16, 24), (7, 5), (1, 9)]
RATIOS = [0.001, 0.1, 0.25, 1 / 3, 0.5, 0.77, 1.0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_shape_hides_the_exact_number_of_pixels(size, ratio):
    h, w = size
    k = max(1, round(ratio * h * w))
    assert places.center(h, w, ratio).sum() == k
    assert places.ellipse(h, w, (w * 0.1, h * 0.2, w * 0.5, h * 0.6), ratio).sum() == k
    assert places.salient(torch.rand(2, h, w), ratio).sum(dim=(1, 2)).tolist() == [k, k]
    for seed in range(20):
        assert places.rectangle(h, w, ratio, generator(seed)).sum() == k


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.0001, float("nan"), float("inf")])
def test_impossible_ratios_are_refused(ratio):
    with pytest.raises(UserError, match="mask ratio"):
        places.check_ratio(ratio)


def test_highest_breaks_ties_by_reading_order():
    values = torch.tensor([[[1.0, 2.0, 2.0], [2.0, 0.0, 3.0]]])
    assert places.highest(values, 3).int().tolist() == [[[0, 1, 1], [0, 0, 1]]]
    assert places.highest(torch.zeros(1, 2, 2), 3).int().tolist() == [[[1, 1], [1, 0]]]


def test_quarter_center_is_the_square_of_half_the_side():
    mask = places.center(32, 32, 0.25)
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[8:24, 8:24] = True
    assert torch.equal(mask, expected)


def test_center_of_a_long_picture_is_square_until_it_meets_the_edge():
    ys, xs = places.center(8, 32, 36 / 256).nonzero().unbind(1)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (1, 6, 13, 18)
    ys, xs = places.center(8, 32, 0.5).nonzero().unbind(1)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (0, 7, 8, 23)


def test_ellipse_keeps_place_and_shape_of_its_box():
    mask = places.ellipse(64, 64, (10, 20, 16, 32), 0.1)
    ys, xs = (axis.float() for axis in mask.nonzero().unbind(1))
    assert ys.mean() + 0.5 == pytest.approx(36, abs=0.3)
    assert xs.mean() + 0.5 == pytest.approx(18, abs=0.3)
    assert ys.std() / xs.std() == pytest.approx(2, rel=0.05)


def test_rectangles_lie_anywhere_and_stay_in_one_piece():
    masks = torch.stack([places.rectangle(16, 16, 0.2, generator("x", i)) for i in range(2000)])
    assert (masks.sum(0) > 0).all()  # every place is hidden now and then
    assert all(ndimage.label(mask)[1] == 1 for mask in masks.numpy())
    heights = masks.any(2).sum(1)
    assert heights.min() >= 5 and heights.max() <= 10 and len(set(heights.tolist())) > 3


def test_smooth_agrees_with_scipy():
    values = torch.rand(2, 3, 20, 14, dtype=torch.float64)
    expected = ndimage.gaussian_filter(values.numpy(), (0, 0, 1.7, 1.7), mode="nearest", radius=(0, 0, 6, 6))
    np.testing.assert_allclose(places.smooth(values, 1.7).numpy(), expected, rtol=1e-12)


def test_salient_takes_the_bright_part_and_not_the_specks():
    saliency = torch.zeros(1, 32, 32)
    saliency[0, 4:14, 16:28] = 1
    saliency[0, 28, 3] = 1.5  # one loud pixel
    mask = places.salient(saliency, 100 / 1024)[0]
    assert ndimage.label(mask.numpy())[1] == 1
    assert mask[4:14, 16:28].sum() >= 95
    assert not mask[28, 3]


def test_means_are_those_of_the_tiles_whatever_the_size():
    values = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    found, part = places.tile_means(values, 3), places.tiles(7, 10, 3)
    for k in range(9):
        inside = values[:, :, part == k]
        assert torch.allclose(found[:, :, part == k], inside.mean(2, keepdim=True).expand_as(inside), atol=1e-6)
