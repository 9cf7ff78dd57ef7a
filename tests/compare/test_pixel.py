import numpy as np
import pytest
import torch

from trainedon.compare import Pixel, Ssim
from trainedon.degrade import Center


def test_pixel_is_minus_the_mean_squared_error_inside(batch_of, target):
    batch, others = batch_of(3), batch_of(3, seed=1).pixels
    mask = Center(0.3).mask(batch)
    for i, value in enumerate(Pixel().similarity(target, batch.pixels, others, mask)):
        difference = (batch.pixels.double() - others.double())[i][:, mask[i]]
        assert value.item() == pytest.approx(-difference.square().mean().item(), rel=1e-9)
    assert (Pixel().similarity(target, batch.pixels, batch.pixels, mask) == 0).all()
    black = -torch.ones(1, 3, 8, 8)
    assert Pixel().similarity(target, black, -black).item() == pytest.approx(-4)


def naive_ssim_map(a, b):
    """One place after the other: a, b float64 (h, w) on [0, 1], edges continued outwards."""
    window = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(window, window) / window.sum() ** 2
    pa, pb = np.pad(a, 5, mode="edge"), np.pad(b, 5, mode="edge")
    values = np.empty_like(a)
    for y in range(a.shape[0]):
        for x in range(a.shape[1]):
            u, v = pa[y : y + 11, x : x + 11], pb[y : y + 11, x : x + 11]
            mu, mv = (window * u).sum(), (window * v).sum()
            su, sv = (window * (u - mu) ** 2).sum(), (window * (v - mv) ** 2).sum()
            suv = (window * (u - mu) * (v - mv)).sum()
            values[y, x] = (2 * mu * mv + 1e-4) * (2 * suv + 9e-4) / ((mu**2 + mv**2 + 1e-4) * (su + sv + 9e-4))
    return values


@pytest.mark.parametrize("size", [16, 4])
def test_ssim_agrees_with_a_naive_oracle(size, batch_of):
    batch, others = batch_of(2, size=size), batch_of(2, size=size, seed=1).pixels
    mask = Center(0.3).mask(batch)
    values = Ssim().similarity(None, batch.pixels, others, mask)
    for i in range(2):
        a, b = ((pixels[i].double().numpy() + 1) / 2 for pixels in (batch.pixels, others))
        maps = np.mean([naive_ssim_map(x, y) for x, y in zip(a, b, strict=True)], axis=0)
        assert values[i].item() == pytest.approx(maps[mask[i].numpy()].mean(), rel=1e-9)


def test_ssim_of_equal_and_of_opposite_pictures(batch_of):
    pixels = batch_of(2).pixels
    torch.testing.assert_close(Ssim().similarity(None, pixels, pixels), torch.ones(2, dtype=torch.float64))
    assert (Ssim().similarity(None, pixels, -pixels) < 0.2).all()
