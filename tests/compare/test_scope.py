import pytest
import torch

from trainedon.compare import scope


def test_crop_is_a_margin_around_the_hidden_part_at_the_pictures_size():
    pixels = torch.arange(256.0).view(1, 1, 16, 16).repeat(2, 1, 1, 1)
    mask = torch.zeros(2, 16, 16, dtype=torch.bool)
    mask[0, 5:9, 6:10] = True  # 4 pixels, so 5 with the margin
    mask[1, 12:16, 0:2] = True  # in the corner
    seen, weight = scope.apply_scope(pixels, mask, "crop")
    assert weight is None and seen.shape == pixels.shape
    for row, (top, left, side) in enumerate([(4, 5, 5), (11, 0, 5)]):
        cut = pixels[:1, :, top : top + side, left : left + side]
        torch.testing.assert_close(seen[row : row + 1], torch.nn.functional.interpolate(cut, (16, 16), mode="bilinear"))


def test_crop_always_holds_the_hidden_part():
    torch.manual_seed(0)
    for _ in range(50):
        h, w = torch.randint(6, 20, (2,)).tolist()
        top, left = int(torch.randint(h, ())), int(torch.randint(w, ()))
        hidden = torch.zeros(1, h, w, dtype=torch.bool)
        hidden[0, top : top + int(torch.randint(1, h + 1, ())), left : left + int(torch.randint(1, w + 1, ()))] = True
        places = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")).float()[None]
        seen, _ = scope.apply_scope(places, hidden, "crop")
        for axis in range(2):
            inside = places[0, axis][hidden[0]]
            assert seen[0, axis].min() <= inside.min() + 1 and seen[0, axis].max() >= inside.max() - 1


def test_look_at_regions_and_pictures():
    pixels = torch.rand(1, 3, 8, 8)
    mask = torch.rand(1, 8, 8) > 0.5
    seen, weight = scope.apply_scope(pixels, mask, "region")
    assert torch.equal(seen, pixels) and torch.equal(weight, mask.float())
    assert scope.apply_scope(pixels, mask, "picture") == (pixels, None)
    assert scope.apply_scope(pixels, None, "crop") == (pixels, None)
    full, _ = scope.apply_scope(pixels, torch.ones(1, 8, 8, dtype=torch.bool), "crop")
    torch.testing.assert_close(full, pixels)


@pytest.mark.parametrize("size", [1, 4, 8])
def test_shrunk_weights_are_means_over_areas(size):
    weight = (torch.rand(2, 16, 16) > 0.5).float()
    small = scope.shrunk(weight, size, size)
    torch.testing.assert_close(small[:, 0], weight.view(2, size, 16 // size, size, 16 // size).mean((2, 4)))
