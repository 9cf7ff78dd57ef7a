"""Attacks around another do what they say, and the parameters of the others are checked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainedon.attacks import Loss, parse_attacks
from trainedon.attacks.single.noise_aggregation import NoiseAggregation
from trainedon.attacks.single.pfami import PFAMI
from trainedon.attacks.single.pia import PIA
from trainedon.attacks.single.rediffuse import ReDiffuse
from trainedon.attacks.single.secmi import SecMI, move
from trainedon.attacks.single.sima import SimA
from trainedon.attacks.wrappers.calibrated import Calibrated
from trainedon.attacks.wrappers.flip import Flip
from trainedon.attacks.wrappers.fremia import FreMIA
from trainedon.attacks.wrappers.repeat import Repeat
from trainedon.attacks.wrappers.timesteps import Timesteps
from trainedon.errors import UserError
from trainedon.targets import NoisePath, Reference, load_target

HOSTS = ["loss", "secmi", "pia", "pian", "sima", "pfami", "rediffuse", "rediffuse(metric=ssim)", "noise-aggregation"]


def mean(scores):
    return np.mean(list(scores), axis=0)


def test_repeat_is_the_mean_over_seeds(target, batch_of):
    batch = batch_of(3)
    each = [Loss(t=50, seed=seed).score(target, batch) for seed in (5, 6, 7)]
    assert not np.array_equal(each[0], each[1])
    np.testing.assert_allclose(Repeat(Loss(t=50, seed=5), n=3).score(target, batch), mean(each), rtol=1e-12)


def test_timesteps_is_the_mean_over_timesteps(target, batch_of):
    batch = batch_of(3)
    each = [PIA(t=t).score(target, batch) for t in (50, 200, 310)]
    assert Timesteps(PIA(), t="50+200+310") == Timesteps(PIA(), t=(50, 200, 310))
    np.testing.assert_allclose(Timesteps(PIA(), t="50+200+310").score(target, batch), mean(each), rtol=1e-12)


@pytest.mark.parametrize("attack", [PIA(), Loss()])
def test_flip_is_the_mean_with_the_mirror_image_under_the_same_noise(attack, target, batch_of):
    batch = batch_of(3)
    mirrored = replace(batch, pixels=batch.pixels.flip(3))
    each = [attack.score(target, pictures) for pictures in (batch, mirrored)]
    assert not np.array_equal(*each)
    np.testing.assert_allclose(Flip(attack).score(target, batch), mean(each), rtol=1e-12)
    np.testing.assert_allclose(Flip(attack).score(target, mirrored), mean(each), rtol=1e-12)


def test_calibrated_is_the_difference_to_the_reference_model(target_folders, batch_of):
    target, other = load_target(target_folders["epsilon"]), load_target(target_folders["sample, cosine betas"])
    batch, reference = batch_of(3), Reference.open(target_folders["sample, cosine betas"])
    for attack in (PFAMI(steps=2), Loss(seed=3)):
        wanted = attack.score(target, batch) - attack.score(other, batch)
        np.testing.assert_allclose(Calibrated(attack, reference).score(target, batch), wanted, rtol=1e-9)


def test_the_reference_model_is_another_one_and_takes_the_same_pictures(target_folders, batch_of):
    target, batch = load_target(target_folders["epsilon"]), batch_of(2)
    with pytest.raises(UserError, match="is the audited model itself"):
        Calibrated(Loss(), Reference.open(target_folders["epsilon"])).score(target, batch)
    with pytest.raises(UserError, match="the reference model takes pictures of"):
        Calibrated(Loss(), Reference.open(target_folders["grey"])).score(target, batch)
    with pytest.raises(UserError, match="give --reference MODEL"):
        Calibrated(Loss()).score(target, batch)


@pytest.mark.parametrize("spec", HOSTS)
def test_fremia_without_damping_is_its_host(spec, target, batch_of):
    (host,) = parse_attacks(spec)
    batch = batch_of(3)
    alone = host.score(target, batch)
    # SecMI's two pictures are so near to each other that the rounding of the Fourier transform shows
    rtol = 5e-3 if spec == "secmi" else 1e-4
    np.testing.assert_allclose(FreMIA(host, damping=1.0).score(target, batch), alone, rtol=rtol)
    damped = FreMIA(host).score(target, batch)
    assert np.isfinite(damped).all() and not np.allclose(damped, alone, rtol=0.01)


def test_fremia_filters_both_sides(target, batch_of):
    batch, host = batch_of(3), PIA(t=100)
    ((first, again),) = host.pairs(target, batch)
    difference = FreMIA(host).filtered(first - again)  # the filter is linear
    np.testing.assert_allclose(FreMIA(host).score(target, batch), -difference.pow(4).sum(dim=(1, 2, 3)), rtol=1e-3)


def wave(size, across, down):
    y, x = np.mgrid[:size, :size] / size
    return torch.from_numpy(np.cos(2 * np.pi * (across * x + down * y))).float()[None, None]


@pytest.mark.parametrize("size", [32, 64])
def test_fremia_damps_high_frequencies_alone(size):
    filtered = FreMIA(radius=5.0, damping=0.3).filtered
    edge = 5 * size // 32  # the first frequency that is damped: the square grows with the picture
    constant = torch.full((2, 3, size, size), 0.7)
    torch.testing.assert_close(filtered(constant), constant)
    for low in (wave(size, edge - 1, 0), wave(size, 1 - edge, edge - 1)):
        torch.testing.assert_close(filtered(low), low, atol=1e-5, rtol=0)
    for high in (wave(size, edge, 0), wave(size, 0, edge), wave(size, edge + 1, 2), wave(size, size // 2, size // 2)):
        torch.testing.assert_close(filtered(high), 0.3 * high, atol=1e-5, rtol=0)


def test_fremia_filters_as_a_slow_fourier_transform_does(batch_of):
    pixels = batch_of(2).pixels[:, :, :, :12]  # not square
    h, w = pixels.shape[2:]
    kept = np.zeros_like(pixels, dtype=complex)
    for v in range(-(h // 2), h - h // 2):
        for u in range(-(w // 2), w - w // 2):
            y, x = np.mgrid[:h, :w]
            basis = np.exp(2j * np.pi * (v * y / h + u * x / w))
            strength = (pixels.numpy() * basis.conj()).sum(axis=(2, 3)) / (h * w)
            low = abs(v) < 5 * h / 32 and abs(u) < 5 * w / 32
            kept += (1.0 if low else 0.2) * strength[:, :, None, None] * basis
    assert np.abs(kept.imag).max() < 1e-6
    np.testing.assert_allclose(FreMIA().filtered(pixels), kept.real, atol=1e-5)


def test_pfami_shows_the_model_a_picture_and_its_neighbour_under_the_same_noise(target, batch_of):
    batch = batch_of(2)
    pairs = PFAMI(steps=3).pairs(target, batch)
    noises = [eps for _, eps in pairs]
    assert len(pairs) == 6
    for here, there in zip(noises[::2], noises[1::2]):
        assert torch.equal(here, there)
    assert not torch.equal(noises[0], noises[2]) and not torch.equal(noises[2], noises[4])
    assert not torch.equal(PFAMI(seed=1).pairs(target, batch)[0][1], noises[0])


def test_pfami_of_a_flat_picture_is_zero(target, batch_of):
    flat = replace(batch_of(1), pixels=torch.full((1, 3, 16, 16), -0.25))
    np.testing.assert_allclose(PFAMI().score(target, flat), 0, atol=1e-6)


def test_rediffuse_of_an_equal_mean_is_the_highest_score(batch_of):
    x = batch_of(3).pixels
    for metric, highest in (("l2", 0.0), ("ssim", 1.0)):
        attack = ReDiffuse(metric=metric)
        np.testing.assert_allclose(attack.distance([(x, x)]), highest)
        assert (attack.distance([(x, x + 0.1)]) < highest).all()


def test_noise_aggregation_adds_noise_of_sigma_a_tenth_and_survives_equal_predictions(batch_of):
    sigmas = NoisePath.from_scheduler({}).sigmas
    assert int((sigmas - 0.1).abs().argmin()) == NoiseAggregation().t
    x = batch_of(3).pixels
    attack = NoiseAggregation()
    assert torch.isfinite(attack.distance([(x, x)] * 10)).all()
    assert (attack.distance([(x, x)] * 10) > attack.distance([(x, x + 0.01)] * 10)).all()


@pytest.fixture
def coarse(target):
    """The tiny target on every 25th step of the usual noise path."""
    return replace(target, path=NoisePath(target.path.alphas[::25], target.path.sigmas[::25]))


def test_secmi_needs_a_path_that_tells_its_last_two_steps_apart(coarse, batch_of):
    assert coarse.path.like_ddpm(90) == coarse.path.like_ddpm(100) == 4
    for attack in (SecMI(), FreMIA(SecMI())):
        with pytest.raises(UserError, match="t = 90 and 100 are one step of this model's path: take a larger k"):
            attack.score(coarse, batch_of(2))


def test_a_move_to_the_same_step_leads_nowhere_and_counts(coarse, batch_of):
    batch, attack = batch_of(2), SecMI(t=120, k=20)
    assert [coarse.path.like_ddpm(t) for t in range(0, 121, 20)] == [0, 1, 2, 2, 3, 4, 5]
    torch.testing.assert_close(move(coarse, batch, batch.pixels, 2, 2), batch.pixels)
    with coarse.counted() as spent:
        scores = attack.score(coarse, batch)
    assert spent.forward == len(batch) * attack.cost(coarse).forward == 2 * 7
    x = batch.pixels
    for s, t in ((0, 1), (1, 2), (2, 3), (3, 4)):
        x = move(coarse, batch, x, s, t)
    back = move(coarse, batch, move(coarse, batch, x, 4, 5), 5, 4)
    np.testing.assert_allclose(scores, -(x - back).square().sum(dim=(1, 2, 3)), rtol=1e-3)


REFUSED = {
    "secmi(t=0)": "multiple of k",
    "secmi(t=95)": "multiple of k",
    "secmi(k=0)": "multiple of k",
    "secmi(t=1000)": "1..999",
    "pia(t=-1)": "0..999",
    "pian(p=0)": "above 0",
    "sima(t=1000)": "0..999",
    "sima(p=-1)": "above 0",
    "pfami(steps=0)": r"\(steps - 1\) \* stride",
    "pfami(steps=21)": r"\(steps - 1\) \* stride",
    "pfami(stride=0)": r"\(steps - 1\) \* stride",
    "pfami(crop=1)": "between 0 and 1",
    "pfami(crop=0)": "between 0 and 1",
    "rediffuse(t=150)": "multiple of k",
    "rediffuse(n=0)": "1 or more",
    "rediffuse(metric=l1)": "choose one of l2, ssim",
    "noise-aggregation(predictions=1)": "2 or more",
    "noise-aggregation(stride=0)": "1 or more",
    "noise-aggregation(t=980)": "0..999",
    "noise-aggregation(t=-1)": "0..999",
    "loss(draws=0)": "1 or more",
    "repeat(loss, n=0)": "1 or more",
    "repeat(pia)": "pia has no parameter seed",
    "timesteps(pia, t=50+x)": "whole numbers joined by",
    "timesteps(pia, t=50+1000)": "0..999",
    "timesteps(pfami)": "pfami has no parameter t",
    "fremia(drc)": "drc@2 compares no two pictures",
    "fremia(radius=0)": "above 0",
    "fremia(damping=1.5)": "0..1",
    "pullback(drc)": "compares no two pictures",
    "pullback(rediffuse)": "compares pixels",
    "pullback(loss, dropped=1)": "below 1",
    "pullback(loss, probes=0)": "1 or more",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_parameters_that_make_no_sense_are_refused(spec):
    with pytest.raises(UserError, match=REFUSED[spec]):
        parse_attacks(spec)


def test_sima_sees_the_clean_picture_unscaled(target, batch_of):
    batch = batch_of(2)
    ((seen, zeros),) = SimA(t=300).pairs(target, batch)
    assert torch.equal(seen, target.denoise(batch.pixels, 300).noise) and not zeros.any()


def test_a_wrapper_is_refused_where_one_of_its_runs_is(target_folders):
    """On a path of 100 steps t = 0 and 2 of the usual path are one; t = 18 and 20 are not."""
    target = load_target(target_folders["epsilon"])
    target.path = NoisePath.from_scheduler({"num_train_timesteps": 100, "beta_start": 1e-3, "beta_end": 0.2})
    SecMI(t=20, k=2).check(target)
    with pytest.raises(UserError, match="are one step of this model's path"):
        Timesteps(SecMI(t=20, k=2), t=(20, 2)).check(target)
