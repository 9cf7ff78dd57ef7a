import pytest
import torch

from trainedon.compare import Own
from trainedon.degrade import Quadrant


def test_own_is_the_cosine_of_the_flattened_features(target, batch_of):
    a, b = batch_of(3).pixels, batch_of(3, seed=1).pixels
    fa, fb = (target.features(pixels, 100).flatten(1) for pixels in (a, b))
    expected = torch.nn.functional.cosine_similarity(fa.double(), fb.double())
    torch.testing.assert_close(Own(scope="picture").similarity(target, a, b), expected)


@pytest.mark.parametrize("layer", [None, "mid_block"])
def test_region_is_the_cosine_inside_it(layer, target, batch_of):
    batch, others = batch_of(3), batch_of(3, seed=1).pixels
    mask = Quadrant(3).mask(batch)
    fa, fb = (target.features(pixels, 50, layer).double() for pixels in (batch.pixels, others))
    half = fa.shape[2] // 2
    fa, fb = (features[:, :, half:, half:].flatten(1) for features in (fa, fb))
    expected = torch.nn.functional.cosine_similarity(fa, fb)
    torch.testing.assert_close(Own(layer, 50).similarity(target, batch.pixels, others, mask), expected)


def test_a_place_that_is_partly_hidden_counts_in_part(target, batch_of):
    batch, others = batch_of(2), batch_of(2, seed=1).pixels
    mask = torch.zeros(2, 16, 16, dtype=torch.bool)
    mask[:, :9, :8] = True  # the features of the middle have 8 x 8 places: the fifth row is half hidden
    fa, fb = (target.features(pixels, 100, "mid_block").double() for pixels in (batch.pixels, others))
    weight = torch.zeros(8, 8, dtype=torch.float64)
    weight[:4, :4], weight[4, :4] = 1, 0.5
    products = [(weight * x * y).sum(dim=(1, 2, 3)) for x, y in ((fa, fb), (fa, fa), (fb, fb))]
    expected = products[0] / (products[1] * products[2]).sqrt()
    torch.testing.assert_close(Own("mid_block").similarity(target, batch.pixels, others, mask), expected)


def test_timesteps_and_layers_make_a_difference_and_cost_one_evaluation(target, batch_of):
    a, b = batch_of(2).pixels, batch_of(2, seed=1).pixels
    values = [own.similarity(target, a, b) for own in (Own(), Own(t=900), Own("down_blocks.0"))]
    assert not torch.allclose(values[0], values[1]) and not torch.allclose(values[0], values[2])
    with target.counted() as spent:
        Own().encode(target, a)
    assert (spent.forward, spent.backward) == (2, 0)
