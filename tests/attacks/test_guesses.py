"""What a person is shown of a score: the model's guess, its guess in another view, and where the first is better."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.attacks.drc.guesses import AHEAD, NEUTRAL, guessing
from trainedon.pictures import Batch
from trainedon.targets import Identity, NoisePath, Target

SETTING = "drc(degradation=diffuse:100+diffuse:200, restorations=2, symmetries={})"


def one_attack(text):
    (attack,) = parse_attacks(text, seed=0)
    return attack


@dataclass(eq=False)
class Remembering(Target):
    """Knows one picture by heart, and of everything else no more than that it is grey on average."""

    known: torch.Tensor = None

    def predict(self, x_t, t, condition):
        alpha, sigma = self.path.at(t, x_t)
        seen = x_t / alpha
        nearer = (seen - self.known).flatten(1).norm(dim=1) < seen.flatten(1).norm(dim=1)
        return (x_t - alpha * torch.where(nearer[:, None, None, None], self.known, 0)) / sigma


@pytest.fixture
def shown():
    """What is shown of one remembered picture and of two others, of which none is like another or its mirror image."""
    generator = torch.Generator().manual_seed(0)
    batch = Batch.of((torch.rand(3, 3, 16, 16, generator=generator) > 0.5) * 1.8 - 0.9)
    identity, path = Identity("", "", "", 0), NoisePath.from_scheduler({})
    target = Remembering(identity, (3, 16, 16), path, "epsilon", known=batch.pixels[0])

    def shown(symmetries):
        return run(guessing(one_attack(SETTING.format(symmetries))), target, batch).exhibits

    return shown


@pytest.mark.parametrize("symmetries", ["mirror", "all"])
def test_what_is_remembered_is_ahead_everywhere_and_the_rest_nowhere(shown, symmetries):
    known, *others = shown(symmetries)
    assert known.ahead == 1
    assert torch.allclose(known.pictures["guess"], known.pictures["original"], atol=1e-3)
    assert torch.allclose(known.pictures["viewguess"], torch.zeros(3, 16, 16), atol=1e-3)
    assert torch.allclose(known.pictures["ahead"], torch.tensor(AHEAD)[:, None, None].expand(3, 16, 16))
    for one in others:
        assert one.ahead == pytest.approx(0.5, abs=0.05)
        assert torch.allclose(one.pictures["ahead"], torch.tensor(NEUTRAL)[:, None, None].expand(3, 16, 16), atol=1e-3)


def test_a_guess_in_another_view_is_turned_back(target, batch_of):
    """A network that moves with its input guesses the same in every view, once turned back."""
    batch = batch_of(2)
    attack = one_attack(SETTING.format("half-turn"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(target), "predict", lambda self, x_t, t, condition: 0.5 * x_t)
        for one in run(guessing(attack), target, batch).exhibits:
            assert torch.allclose(one.pictures["guess"], one.pictures["viewguess"], atol=1e-5)


@pytest.mark.parametrize("symmetries", ["mirror", "all"])
def test_what_is_shown_is_what_is_scored(target, batch_of, symmetries):
    batch, attack = batch_of(3), one_attack(SETTING.format(symmetries))
    np.testing.assert_array_equal(run(guessing(attack), target, batch).scores, run(attack, target, batch).scores)


def test_the_guess_is_that_of_the_level_with_most_noise_in_any_order(target, batch_of, monkeypatch):
    """A network that sees no noise takes all of it for the picture, and there is seven times as much at one level."""
    batch = batch_of(2)
    monkeypatch.setattr(type(target), "predict", lambda self, x_t, t, condition: torch.zeros_like(x_t))
    apart = []
    for levels in ("diffuse:50+diffuse:300", "diffuse:300+diffuse:50"):
        attack = one_attack(f"drc(degradation={levels}, restorations=4, symmetries=mirror)")
        shown = run(guessing(attack), target, batch).exhibits[0].pictures
        apart.append(float((shown["guess"] - shown["original"]).abs().mean()))
    assert max(apart) < 1.5 * min(apart)


def test_a_view_that_cannot_be_turned_back_is_not_shown(target, batch_of):
    batch = batch_of(2)
    alone, beside = (
        run(guessing(one_attack(SETTING.format(name))), target, batch) for name in ("rotate", "rotate+mirror")
    )
    assert alone.exhibits == ()
    assert np.isfinite(alone.scores).all()
    (mirror, _) = run(guessing(one_attack(SETTING.format("mirror"))), target, batch).exhibits
    assert torch.equal(beside.exhibits[0].pictures["ahead"], mirror.pictures["ahead"])


@pytest.mark.parametrize("spelled", ["drc-hide", "drc(symmetries=none)", "loss", "drc(roi=quadrants, restorations=1)"])
def test_nothing_is_shown_where_no_whole_picture_is_noised_in_views(spelled):
    assert guessing(one_attack(spelled)) is None
