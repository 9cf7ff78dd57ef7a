"""A network that somebody brings along: what must be written, and what is said where an optional part is missing."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.condition import UNCONDITIONAL, Captions, Classes
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Identity, NoisePath, Target


class Halves(Target):
    """Takes half of what it sees for noise."""

    def predict(self, x_t, t, condition):
        return x_t / 2


@dataclass(eq=False)
class Captioned(Halves):
    @property
    def conditioning(self):
        return "caption"


def brought(kind=Halves, prediction="epsilon", **more):
    identity = Identity("mine", "0" * 64, "own network", 0)
    return kind(identity, (3, 8, 8), NoisePath.from_scheduler({}), prediction, **more)


@pytest.mark.parametrize("spec", ["loss", "pia", "secmi", "drc-fast", "symmetric(loss)", "rise"])
def test_one_method_is_enough_for_most_attacks(spec, batch_of):
    target, (attack,) = brought(), parse_attacks(spec)
    with target.counted() as spent:
        scores = attack.score(target, batch_of(3, size=8))
    assert np.isfinite(scores).all() and spent.forward == 3 * attack.cost(target).forward


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("drc-hide(steps=2)", "mine shows no features of its network: choose another encoder"),
        ("drc-hide(roi=attention:0.3, encoder=pixel)", "no self-attention"),
    ],
)
def test_an_attack_says_what_it_lacks(spec, says, batch_of):
    (attack,) = parse_attacks(spec)
    with pytest.raises(UserError, match=says):
        attack.score(brought(), batch_of(2, size=8))


def test_gradients_of_weights_are_an_extra(batch_of):
    x = batch_of(2, size=8).pixels
    with pytest.raises(UserError, match="mine gives no gradients of its weights: leave out gsa"):
        brought().gradient_norms(x, torch.tensor([1, 2]), x)


def test_the_condition_is_what_the_model_takes(batch_of):
    plain = batch_of(2)
    batch = Batch(plain.pixels, plain.sha256, torch.tensor([1, 0]), captions=("a cat", None))
    assert brought().condition_of(batch) == UNCONDITIONAL
    assert brought(classes=3).condition_of(batch) == Classes(torch.tensor([1, 0]))
    assert brought(Captioned).condition_of(batch) == Captions(("a cat", ""))
    assert brought(Captioned).condition_of(plain) == Captions(("", ""))
    with pytest.raises(UserError, match="3 classes: give the pictures' class labels"):
        brought(classes=3).condition_of(plain)


@pytest.mark.parametrize("condition", [Classes(torch.tensor([2, 2])), Captions(("a dog", "a tree"))], ids=repr)
def test_a_condition_that_is_chosen_comes_before_labels_and_captions(condition, batch_of):
    plain = batch_of(2)
    batch = Batch(plain.pixels, plain.sha256, torch.tensor([1, 0]), None, ("a cat", None), condition)
    target = brought(classes=3) if isinstance(condition, Classes) else brought(Captioned)
    assert target.condition_of(batch) == condition
    assert (
        target.condition_of(batch[1:]) == condition[1:] and target.condition_of(batch.take([1, 0])) == condition[[1, 0]]
    )


def test_a_prediction_that_is_not_known_is_refused_by_name(batch_of):
    with pytest.raises(UserError, match="mine: prediction 'eps' is not known: epsilon, sample"):
        brought(prediction="eps").denoise(batch_of(1, size=8).pixels, 3)
