"""The attack on mirrored pictures: by hand the same, and silent where there is no other picture."""

import numpy as np
import pytest
import torch

from trainedon.attacks import Loss, parse_attacks
from trainedon.attacks.wrappers.symmetric import SymmetryCalibrated
from trainedon.attacks.wrappers.turned import Turned, turned
from trainedon.errors import UserError


@pytest.mark.parametrize(("symmetry", "axes"), [("mirror", (-1,)), ("upside-down", (-2,)), ("half-turn", (-1, -2))])
def test_it_is_the_attack_on_the_turned_picture_with_turned_noise(target, batch_of, monkeypatch, symmetry, axes):
    (attack,) = parse_attacks(f"turned(loss, symmetry={symmetry})")
    batch = batch_of(3)
    found = attack.score(target, batch)
    assert found.tolist() != Loss().score(target, batch).tolist()
    predict = target.predict
    seen = []
    monkeypatch.setattr(target, "predict", lambda x, *rest: seen.append(x) or predict(x, *rest))
    attack.score(target, batch)
    asked, seen[:] = torch.cat(seen), []
    Loss().score(target, batch)
    assert torch.equal(asked, torch.cat(seen).flip(*axes)), "the network is given the noised picture, turned"


def test_what_is_relative_to_the_mirror_has_the_other_sign_there_and_asks_for_nothing_new(
    target, batch_of, monkeypatch
):
    attack, batch, made = SymmetryCalibrated(Loss(), symmetries=("mirror",)), batch_of(3), []
    network = target.network.forward
    monkeypatch.setattr(target.network, "forward", lambda *given, **named: made.append(1) or network(*given, **named))
    with target.sharing():
        here = attack.score(target, batch)
        before = len(made)
        there = Turned(attack).score(target, batch)
        assert 0 < before == len(made)
    assert there.tolist() == (-here).tolist()


def test_a_picture_that_is_its_own_mirror_image_has_no_score(target, batch_of):
    batch = batch_of(2)
    batch.pixels[0] = (batch.pixels[0] + batch.pixels[0].flip(-1)) / 2
    assert np.isnan(Turned(Loss()).score(target, batch)).tolist() == [True, False]
    assert "its own mirror image" in Turned(Loss()).unscored


def test_controls_are_made_once_and_never_of_controls():
    loss, pia, known = parse_attacks("loss, pia, turned(loss)")
    assert turned([loss, pia, known], ["mirror"]) == [Turned(pia)]
    assert turned([loss], []) == []
    assert turned([SymmetryCalibrated(loss, symmetries=("mirror",))], ["mirror"]) == [], "it is its own negative there"


def test_an_unknown_symmetry_is_refused():
    with pytest.raises(UserError, match="choose one of mirror, upside-down, half-turn"):
        parse_attacks("turned(loss, symmetry=sideways)")
