"""Latent dimensions that the decoder stretches least are left out, by an estimate that is held against the truth."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.wrappers.pullback import Pullback
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Symmetric, load_target


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return load_target(tiny.save("stable diffusion", tmp_path_factory.mktemp("latent")))


@pytest.fixture
def batch(target):
    pixels = torch.rand(3, *target.picture, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return replace(Batch.of(pixels), captions=("a", "b", "c"))


def pullback(spec):
    (attack,) = parse_attacks(spec)
    assert isinstance(attack, Pullback)
    return attack


def test_the_influence_is_the_squared_norm_of_each_column_of_the_jacobian(target, batch):
    states = target.encode(batch.pixels[:1])
    z = states / target._scale + target._shift
    jacobian = torch.autograd.functional.jacobian(
        lambda z: target.decoded(z, None, None), z
    )  # (1, *picture, 1, *shape)
    exact = (jacobian.flatten(0, 3) / target._scale).square().sum(0)  # of the network's latents
    found = target.decoder_influence(states, pullback("pullback(loss, probes=100)").patterns(target))
    assert (found / exact).mean() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(found.flatten(), exact.flatten())[0, 1] > 0.9


def test_a_planted_decoder_has_the_known_ranking(target, batch, monkeypatch):
    """Each latent lights one pixel, which the signs of patterns cannot change: the estimate is exact."""
    strength = torch.randperm(4 * 8 * 8, generator=torch.Generator().manual_seed(1)).view(4, 8, 8) + 1.0
    places = torch.zeros(3 * 16 * 16, 4 * 8 * 8)
    places[: 4 * 8 * 8] = torch.eye(4 * 8 * 8) * strength.flatten()
    monkeypatch.setattr(target, "decoded", lambda z, *_: (z.flatten(1) @ places.T).view(-1, 3, 16, 16))
    kept = pullback("pullback(loss, dropped=0.25, probes=1)").kept(target, batch)
    assert torch.equal(kept, (strength > 64).float().expand(3, 4, 8, 8))


def test_what_is_left_out_has_no_part_in_the_distance(target, batch):
    for spec in ("loss", "sima", "pia"):
        (host,) = parse_attacks(spec)
        np.testing.assert_array_equal(Pullback(host, dropped=0).score(target, batch), host.score(target, batch))
    attack = pullback("pullback(sima)")
    ((seen, _),) = attack.attack.pairs(target, replace(batch, condition=target.condition_of(batch)))
    kept = attack.kept(target, batch)
    assert (kept == 0).flatten(1).sum(1).tolist() == [102] * 3  # 40 % of 4 x 8 x 8
    np.testing.assert_allclose(attack.score(target, batch), -(seen * kept).pow(4).flatten(1).sum(1), rtol=1e-4)


def test_the_conjugated_model_says_the_influence_in_the_places_of_the_picture(target, batch):
    states, patterns = target.encode(batch.pixels), pullback("pullback(loss)").patterns(target)
    there = Symmetric.of(target, "mirror").decoder_influence(states, patterns)
    here = target.decoder_influence(states.flip(-1), patterns.flip(-1))
    torch.testing.assert_close(there, here.flip(-1), rtol=0, atol=0)


def test_models_in_pixels_are_refused_before_a_picture_is_read(target_folders):
    with pytest.raises(UserError, match="leave it out, or take loss alone"):
        pullback("pullback(loss)").check(load_target(target_folders["epsilon"]))
