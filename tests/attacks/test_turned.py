"""The attack on mirrored pictures: by hand the same, and silent where there is no other picture."""

from dataclasses import replace

import numpy as np
import pytest

from trainedon.attacks import Loss, parse_attacks
from trainedon.attacks.wrappers.turned import Turned, turned
from trainedon.errors import UserError


@pytest.mark.parametrize(("symmetry", "axes"), [("mirror", (-1,)), ("upside-down", (-2,)), ("half-turn", (-1, -2))])
def test_it_is_the_attack_on_the_turned_picture_with_the_same_noise(target, batch_of, symmetry, axes):
    (attack,) = parse_attacks(f"turned(loss, symmetry={symmetry})")
    batch = batch_of(3)
    by_hand = Loss().score(target, replace(batch, pixels=batch.pixels.flip(*axes)))
    assert attack.score(target, batch).tolist() == by_hand.tolist()
    assert attack.score(target, batch).tolist() != Loss().score(target, batch).tolist()


def test_a_picture_that_is_its_own_mirror_image_has_no_score(target, batch_of):
    batch = batch_of(2)
    batch.pixels[0] = (batch.pixels[0] + batch.pixels[0].flip(-1)) / 2
    assert np.isnan(Turned(Loss()).score(target, batch)).tolist() == [True, False]
    assert "its own mirror image" in Turned(Loss()).unscored


def test_controls_are_made_once_and_never_of_controls():
    loss, pia, known = parse_attacks("loss, pia, turned(loss)")
    assert turned([loss, pia, known], ["mirror"]) == [Turned(pia)]
    assert turned([loss], []) == []


def test_an_unknown_symmetry_is_refused():
    with pytest.raises(UserError, match="choose one of mirror, upside-down, half-turn"):
        parse_attacks("turned(loss, symmetry=sideways)")
