"""The loss against complexity: what is taken off, and that the rest is memory."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.attacks.learned.complexity import Complexity, complexity
from trainedon.errors import UserError


def test_what_unseen_pictures_of_the_complexity_have_is_taken_off():
    """Errors that follow complexity but for a third of what members have: known in closed form."""
    rng = np.random.default_rng(0)
    size = rng.uniform(4, 8, 600)
    sets = np.array(["member", "unseen", "suspect"] * 200)
    error = 0.7 * size - 3 - 0.3 * (sets == "member")
    scores = Complexity().conclude(np.stack([error, size], axis=1), sets.tolist(), [f"{i:064x}" for i in range(600)])
    expected = np.where(sets == "member", 0.3, 0)
    assert scores == pytest.approx(expected, abs=1e-9)


def test_of_pictures_that_are_all_as_complex_the_loss_is_left():
    error = np.linspace(-3, -1, 40)
    observed = np.stack([error, np.full(40, 5.0)], axis=1)
    scores = Complexity().conclude(observed, ["unseen"] * 40, [f"{i:064x}" for i in range(40)])
    assert np.corrcoef(scores, error)[0, 1] < -0.9


def test_too_few_unseen_pictures_give_no_score():
    scores = Complexity().conclude(np.ones((9, 2)), ["member"] * 8 + ["unseen"], [f"{i:064x}" for i in range(9)])
    assert np.isnan(scores).all()


@pytest.mark.parametrize("measure", ["jpeg", "png", "variation"])
def test_noise_is_more_complex_than_a_ramp_and_that_than_a_flat_picture(measure):
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    for pictures in (torch.cat([ramp * 0, ramp, noise]), torch.cat([ramp * 0, ramp, noise])[:, :1]):
        flat, even, rough = complexity(pictures, measure)
        assert 0 <= flat < even < rough


def test_bytes_are_those_of_the_file_at_the_size_of_the_model():
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    stream = io.BytesIO()
    levels = ((pixels[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(stream, format="PNG", compress_level=9)
    assert complexity(pixels, "png").tolist() == [len(stream.getvalue())]


def test_what_is_observed_is_the_log_of_the_loss(target_folders):
    from trainedon.pictures import Batch
    from trainedon.targets import load_target

    target = load_target(target_folders["epsilon"])
    batch = Batch.of(torch.rand(3, *target.picture, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    (attack,), (loss,) = parse_attacks("complexity(t=50, draws=2)"), parse_attacks("loss(t=50, draws=2)")
    with torch.no_grad():
        observed = attack.score_batch(target, batch).scores
    assert np.exp(observed[:, 0]) == pytest.approx(-loss.score(target, batch))
    assert np.exp(observed[:, 1]) == pytest.approx(complexity(batch.pixels, "jpeg"))


def test_what_there_is_not_is_refused():
    with pytest.raises(UserError, match="choose one of jpeg, png, variation"):
        parse_attacks("complexity(measure=zip)")
    with pytest.raises(UserError, match=r"t must lie in 0\.\.999"):
        parse_attacks("complexity(t=1000)")
