"""The discrepancy of classes, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.condition import Classes
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.targets import load_target


@pytest.fixture(scope="module")
def conditional(target_folders):
    return load_target(target_folders["class-conditional"])


def pictures(target):
    pixels = torch.rand(6, *target.picture, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return Batch.of(pixels, torch.arange(6) % target.classes)


def test_it_is_the_loss_under_every_other_class_minus_that_under_the_own(conditional):
    target, batch = conditional, pictures(conditional)
    (attack,) = parse_attacks("class-discrepancy(t=100+300, others=99)")
    noise = NoiseStream(batch.sha256, [0] * 6, target.shape, seed=0, device="cpu")
    errors = torch.zeros(target.classes, 6, dtype=torch.float64)
    for t in map(target.path.like_ddpm, (100, 300)):
        eps = noise.next()
        for label in range(target.classes):
            with torch.no_grad():
                said = target.denoise(target.noised(batch.pixels, t, eps), t, Classes(torch.full((6,), label))).noise
            errors[label] += (said - eps).double().square().mean((1, 2, 3)) / 2
    own = errors[batch.labels, torch.arange(6)]
    others = (errors.sum(0) - own) / (target.classes - 1)
    assert attack.score(target, batch) == pytest.approx((others - own).numpy(), abs=1e-6)
    assert attack.cost(target).forward == 2 * target.classes


def test_a_picture_is_higher_under_the_class_that_the_model_predicts_it_best_by(conditional):
    (attack,) = parse_attacks("class-discrepancy(others=99)")
    batch = pictures(conditional)
    by_label = np.stack(
        [
            attack.score(conditional, replace(batch, labels=torch.full((6,), label)))
            for label in range(conditional.classes)
        ]
    )
    assert by_label.sum(0) == pytest.approx(np.zeros(6), abs=1e-6)  # each class against the mean of the others
    assert (by_label.max(0) > 0).all()


def test_other_classes_follow_from_the_digest_and_are_none_of_the_picture_s_own(conditional):
    (attack,) = parse_attacks("class-discrepancy(others=1)")
    batch = pictures(conditional)
    found = attack._other_classes(conditional, batch, Classes(batch.labels))
    assert len(found) == 1 and (found[0].labels != batch.labels).all()
    assert (found[0].labels < conditional.classes).all() and (found[0].labels >= 0).all()


@pytest.mark.parametrize("kind", ["epsilon", "stable diffusion"])
def test_a_model_without_classes_is_refused(target_folders, kind):
    (attack,) = parse_attacks("class-discrepancy")
    with pytest.raises(UserError, match=r"compares classes, .* audit a class-conditional model"):
        attack.check(load_target(target_folders[kind]))
