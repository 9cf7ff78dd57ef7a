import pytest
import torch

from trainedon.errors import UserError
from trainedon.pictures import NEIGHBOURS, neighbour, neighbouring, parse_neighbours


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(3, 3, 16, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_neighbour_differs_and_is_a_picture_by_itself(name, pixels):
    moved = neighbour(name, pixels)
    assert moved.shape == pixels.shape and moved.dtype == torch.float32 and moved.abs().max() <= 1
    assert (moved - pixels).abs().mean() > 0.1
    assert torch.equal(neighbour(name, pixels[1:2]), moved[1:2])
    blank = torch.full_like(pixels, 0.25)
    assert torch.allclose(neighbour(name, blank), blank, atol=1e-5)


def test_where_things_go():
    """A white spot right of the middle: mirrored to the left, cropped further out, turned up or down."""
    picture = torch.full((1, 1, 33, 33), -1.0)
    picture[0, 0, 15:18, 23:26] = 1.0  # centre (16, 24), 8 right of the middle

    def centre(moved: torch.Tensor) -> tuple[float, float]:
        weight = (moved[0, 0] + 1) / (moved[0, 0] + 1).sum()
        return float((weight.sum(1) * torch.arange(33)).sum()), float((weight.sum(0) * torch.arange(33)).sum())

    assert centre(neighbour("mirror", picture)) == pytest.approx((16, 8), abs=0.01)
    assert centre(neighbour("crop", picture)) == pytest.approx((16, 16 + 8 / 0.811), abs=0.1)
    down, across = centre(neighbour("turn", picture))
    assert abs(down - 16) == pytest.approx(8 * 0.139, abs=0.1) and across == pytest.approx(16 + 8 * 0.990, abs=0.1)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_mask_moves_with_its_picture(name):
    hidden = torch.zeros(1, 32, 32, dtype=torch.bool)
    hidden[0, 8:20, 12:28] = True
    moved = neighbouring(name, hidden)
    assert moved.dtype == torch.bool and moved.shape == hidden.shape
    painted = torch.where(hidden[:, None], 1.0, -1.0)
    assert torch.equal(moved, neighbour(name, painted)[:, 0] >= 0)


def test_names():
    assert parse_neighbours("mirror+crop") == ("mirror", "crop")
    assert parse_neighbours("none") == parse_neighbours("") == ()
    for wrong in ("mirrored", "mirror+mirror"):
        with pytest.raises(UserError, match="choose from mirror, crop, turn"):
            parse_neighbours(wrong)
