"""Rise and curvature: displacements of the length that they claim, and curvature against what is known exactly."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.single.curvature import Curvature, divergence
from trainedon.attacks.single.rise import MOVES, Rise
from trainedon.condition import UNCONDITIONAL
from trainedon.errors import UserError
from trainedon.evidence.studies.peaks import MOVES as STUDIED
from trainedon.evidence.studies.peaks import STUDY
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.targets import Identity, NoisePath, Target


@dataclass(eq=False)
class Linear(Target):
    """The exact denoiser of white pictures with variance `spread^2`: its noise is `gain(t) x_t`."""

    spread: float = 0.5

    def gain(self, t):
        alpha, sigma = (float(values[t]) for values in (self.path.alphas, self.path.sigmas))
        return sigma / (alpha**2 * self.spread**2 + sigma**2)

    def predict(self, x_t, t, condition):
        return self.gain(t[0]) * x_t


def linear(**changes):
    return Linear(Identity("linear", "", "", 0), (3, 16, 16), NoisePath.from_scheduler({}), "epsilon", **changes)


def stream(batch):
    return NoiseStream(batch.sha256, [0] * len(batch), batch.pixels.shape[1:], seed=0, device="cpu")


def displacements(attack, batch):
    """x' - x for each direction, as the model is made to see it: read off a network that passes its input on."""
    target = linear()
    t = target.path.like_ddpm(attack.t)
    (here, _), *there = attack.pairs(target, batch)
    return [(seen - here) / (target.gain(t) * target.path.alphas[t]) for seen, _ in there]


def rms(pixels):
    return pixels.double().square().flatten(1).mean(1).sqrt()


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("radius", [0.05, 0.4])
def test_every_displacement_has_the_radius_and_nothing_clips_it(move, radius, batch_of):
    batch = batch_of(3)
    batch = replace(batch, pixels=batch.pixels.sign())  # black and white, where clamping would take half of it
    moved = displacements(Rise(move=move, radius=radius, directions=3), batch)
    assert len(moved) == (1 if move == "fade" else 3)
    for one in moved:
        np.testing.assert_allclose(rms(one), radius, rtol=1e-3)
    if len(moved) > 1:
        assert (moved[0] - moved[1]).abs().max() > radius / 10


def test_moves_differ_in_kind(batch_of):
    """White noise is as fine as it can be, a smooth displacement has none of it, and fading takes contrast alone."""
    batch = batch_of(4)
    grain = {move: displacements(Rise(move=move, radius=0.2), batch)[0].diff(dim=3) for move in ("noise", "smooth")}
    assert (rms(grain["noise"]) > 0.2 * 1.3).all()  # neighbours independent: sqrt(2) radius
    assert (rms(grain["smooth"]) < 0.2 * 0.9).all()
    faded = batch.pixels + displacements(Rise(move="fade", radius=0.2), batch)[0]
    np.testing.assert_allclose(faded.mean((2, 3)), batch.pixels.mean((2, 3)), atol=1e-5)
    before, after = (rms(pixels - pixels.mean((2, 3), keepdim=True)) for pixels in (batch.pixels, faded))
    np.testing.assert_allclose(after, before - 0.2, atol=1e-4)


def test_a_flat_picture_cannot_fade(target):
    pixels = torch.tensor([0.1, -1.0, 0.7]).view(1, 3, 1, 1).expand(2, 3, 16, 16).clone()
    pixels[1, :, 3, 4] += 1e-4
    assert (Rise(move="fade").score(target, pixels) == 0).all()


@pytest.mark.parametrize("move", MOVES)
def test_rise_is_the_formula(move, target, batch_of):
    batch, attack = batch_of(3), Rise(move=move, radius=0.2, t=150)
    source = stream(batch)
    eps, moved = source.next(), displacements(attack, batch)

    def log_loss(pixels):
        seen = target.denoise(target.noised(pixels, 150, eps), 150).noise
        return np.log(np.mean((seen - eps).numpy().astype(float) ** 2, (1, 2, 3)))

    with torch.no_grad():
        wanted = np.mean([log_loss(batch.pixels + one) for one in moved], 0) - log_loss(batch.pixels)
    np.testing.assert_allclose(attack.score(target, batch), wanted, atol=1e-4)
    assert np.ptp(wanted) > 0


def test_fading_has_one_direction(target, batch_of):
    batch = batch_of(3)
    one, many = Rise(move="fade", directions=1), Rise(move="fade", directions=5)
    assert np.array_equal(one.score(target, batch), many.score(target, batch))
    assert many.cost(target).forward == 2 and Rise(directions=5).cost(target).forward == 6


@pytest.mark.parametrize("spread", [1e-4, 0.5, 30.0])
def test_curvature_of_a_gaussian_is_known(spread, batch_of):
    """1 on a single point, 0 where nothing is preferred; the Jacobian is diagonal, so one probe is exact."""
    target = linear(spread=spread)
    found = Curvature(t=50, probes=1).score(target, batch_of(3))
    alpha, sigma = (float(values[50]) for values in (target.path.alphas, target.path.sigmas))
    np.testing.assert_allclose(found, sigma**2 / (alpha**2 * spread**2 + sigma**2), rtol=1e-5)


def test_the_divergence_is_the_trace_of_the_jacobian_within_its_error(grey_target, batch_of):
    batch, t, probes = batch_of(2, channels=1), 300, 60
    x_t = grey_target.noised(batch.pixels, t, stream(batch).next())
    source, traces, errors = NoiseStream(["0", "1"], [1, 1], x_t.shape[1:], seed=0, device="cpu"), [], []
    for x in x_t:
        with torch.enable_grad():
            copies = x.expand(x.numel(), -1, -1, -1).clone().requires_grad_(True)  # row i is asked for output i
            seen = grey_target.denoise(copies, t).noise.flatten(1).diagonal().sum()
            jacobian = torch.autograd.grad(seen, copies)[0].flatten(1).double()  # (d, d)
        both = (jacobian + jacobian.T) / 2
        traces.append(jacobian.trace())
        errors.append((2 * (both.square().sum() - both.diagonal().square().sum()) / probes).sqrt())
    signs = [torch.where(source.next() < 0, -1.0, 1.0) for _ in range(probes)]
    found = divergence(grey_target, x_t, t, UNCONDITIONAL, signs)
    assert (torch.stack(errors) < torch.stack(traces).abs() / 5).all(), "too inexact to mean anything"
    assert ((found - torch.stack(traces)).abs() < 4 * torch.stack(errors)).all()


def test_more_probes_make_curvature_more_exact(target, batch_of):
    batch = batch_of(4)
    spread = [
        np.std([Curvature(probes=probes, seed=seed, t=300).score(target, batch) for seed in range(5)], axis=0).mean()
        for probes in (1, 9)
    ]
    assert spread[1] < spread[0]


def test_the_study_can_be_parsed_and_covers_every_move():
    study = parse_attacks(", ".join(STUDY))
    assert len(study) == len(STUDY) == len({repr(attack) for attack in study})
    assert set(STUDIED) == set(MOVES) == {attack.move for attack in study if isinstance(attack, Rise)}
    assert {attack.t for attack in study if isinstance(attack, Curvature)} == {50, 100}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rise(move=up)", "move 'up' is not known: choose one of noise, smooth, fade"),
        ("rise(radius=0)", "radius must be above 0"),
        ("rise(directions=0)", "directions 1 or more"),
        ("rise(t=1000)", "t must lie in 0..999"),
        ("curvature(probes=0)", "probes must be 1 or more"),
        ("curvature(t=-1)", "t must lie in 0..999"),
    ],
)
def test_what_is_wrong_is_said(spec, message):
    with pytest.raises(UserError, match=message):
        parse_attacks(spec)


def test_a_picture_without_neighbours_in_a_batch_scores_the_same(target, batch_of):
    batch = batch_of(5)
    one = Batch(batch.pixels[2:3], batch.sha256[2:3])
    for attack in (Rise(move="smooth"), Rise(move="fade"), Curvature(probes=2)):
        np.testing.assert_allclose(attack.score(target, one), attack.score(target, batch)[2:3], rtol=1e-5, atol=1e-8)
