"""One step of each restorer against its paper's formulas, derived anew in float64, and on other noise paths."""

import math

import numpy as np
import pytest
import torch

from trainedon.restore import DDNM, DPS, Guided, Inpaint, Join, Masked, PiGDM, Restorer, Twisted
from trainedon.restore.particles import resampled
from trainedon.restore.walk import timesteps
from trainedon.targets import NoisePath

START = 0.3  # where alpha is large enough for float32 to be compared at 1e-5
ROWS = range(3)


@pytest.fixture(scope="module")
def few() -> Masked:
    """Three pictures of the closed-form model, of which different parts are hidden."""
    pictures = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(3)) - 0.5
    hidden = torch.zeros(3, 4, 4, dtype=torch.bool)
    hidden[0, :, 2:], hidden[1, 1:3, 1:3], hidden[2, 2:] = True, True, True
    return Masked(pictures, torch.where(hidden[:, None], torch.zeros(()), pictures), hidden)


class Step:
    """The first of two steps on the usual path: x_t and x_s as the network met them, all else in float64.

    x_t, x_s, x0hat, e, y, m, z: (3, 16), m = 1 on kept pixels, z the fresh noises; ab_t, ab_s: alpha-bar; J: (16, 16).
    """

    def __init__(self, gaussian, few, restorer, stream, monkeypatch):
        met, predict = [], type(gaussian).predict
        monkeypatch.setattr(
            type(gaussian),
            "predict",
            lambda self, x, t, condition: (met.append(x.detach()[:3]), predict(self, x, t, condition))[1],
        )
        restorer.restore(gaussian, few, stream(ROWS, (1, 4, 4)), steps=2, start=START)
        noise = stream(ROWS, (1, 4, 4))
        self.z = [noise.next().double().flatten(1).numpy() for _ in range(3)]
        self.x_t, self.x_s = (x.double().flatten(1).numpy() for x in met)
        t, s, _ = timesteps(1000, 2, START)
        ab = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
        self.ab_t, self.ab_s = ab[t], ab[s]
        mean, covariance = gaussian.mean.double().numpy(), gaussian.covariance.double().numpy()
        self.J = math.sqrt(ab[t]) * covariance @ np.linalg.inv(ab[t] * covariance + (1 - ab[t]) * np.eye(16))
        self.x0hat = mean + (self.x_t - math.sqrt(ab[t]) * mean) @ self.J
        self.y, self.m = few.original.double().flatten(1).numpy(), (~few.hidden).double().flatten(1).numpy()
        self.e = self.m * (self.y - self.x0hat)

    def ancestral(self, x0):
        """DDPM's posterior q(x_s | x_t, x0) with fresh noise (Ho et al., arXiv 2006.11239, eq. 6 and 7)."""
        alpha = self.ab_t / self.ab_s
        beta = 1 - alpha
        mean = math.sqrt(self.ab_s) * beta / (1 - self.ab_t) * x0
        mean = mean + math.sqrt(alpha) * (1 - self.ab_s) / (1 - self.ab_t) * self.x_t
        return mean + math.sqrt((1 - self.ab_s) / (1 - self.ab_t) * beta) * self.z[1]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_dps(gaussian, few, stream, monkeypatch):
    """Algorithm 1: x_{i-1} = x'_{i-1} - zeta_i grad |y - A x0hat|^2, zeta_i = zeta / |y - A x0hat|."""
    step = Step(gaussian, few, DPS(zeta=0.2), stream, monkeypatch)
    gradient = -2 * step.e @ step.J
    zeta = 0.2 / np.linalg.norm(step.e, axis=1, keepdims=True)
    assert np.abs(zeta * gradient).max() > 0.01
    close(step.x_s, step.ancestral(step.x0hat) - zeta * gradient)


def test_dps_with_the_kept_part_pasted(gaussian, few, stream, monkeypatch):
    step = Step(gaussian, few, DPS(zeta=0.2, paste=1), stream, monkeypatch)
    moved = step.ancestral(step.x0hat) + 0.4 * step.e @ step.J / np.linalg.norm(step.e, axis=1, keepdims=True)
    kept = math.sqrt(step.ab_s) * step.y + math.sqrt(1 - step.ab_s) * step.z[2]
    close(step.x_s, step.m * kept + (1 - step.m) * moved)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_pigdm(gaussian, few, stream, monkeypatch, eta):
    """Algorithm 1 with DDIM's c1 and c2. In x / alpha, the paper's variance-exploding variables of noise level
    sigma_ve, r^2 = sigma_ve^2 / (1 + sigma_ve^2); r^2 times the score moves the guess."""
    step = Step(gaussian, few, PiGDM(eta=eta), stream, monkeypatch)
    c1 = eta * math.sqrt((1 - step.ab_t / step.ab_s) * (1 - step.ab_s) / (1 - step.ab_t))
    c2 = math.sqrt(1 - step.ab_s - c1**2)
    sigma_ve = math.sqrt(1 / step.ab_t - 1)
    r2 = sigma_ve**2 / (1 + sigma_ve**2)
    score = step.e @ (math.sqrt(step.ab_t) * step.J) / r2  # the Jacobian in x / alpha
    noise = (step.x_t - math.sqrt(step.ab_t) * step.x0hat) / math.sqrt(1 - step.ab_t)
    assert np.abs(r2 * score).max() > 0.01
    close(step.x_s, math.sqrt(step.ab_s) * (step.x0hat + r2 * score) + c1 * step.z[1] + c2 * noise)


def test_pigdm_exact(gaussian, few, stream, monkeypatch):
    """Tweedie's formula for x_t given y, with the likelihood N(y; H x0hat, r^2) and r^2 = e C e / e e in place of the
    covariance C of x0 given x_t."""
    step = Step(gaussian, few, PiGDM(exact=1), stream, monkeypatch)
    covariance = (1 - step.ab_t) / math.sqrt(step.ab_t) * step.J
    r2 = ((step.e @ covariance) * step.e).sum(1, keepdims=True) / (step.e**2).sum(1, keepdims=True)
    posterior = step.x0hat + (1 - step.ab_t) / math.sqrt(step.ab_t) * step.e @ step.J / r2
    close(step.x_s, step.ancestral(posterior))


def test_ddnm(gaussian, few, stream, monkeypatch):
    """Algorithm 1: the posterior of the guess whose range part is A^+ y."""
    step = Step(gaussian, few, DDNM(), stream, monkeypatch)
    close(step.x_s, step.ancestral(step.m * step.y + (1 - step.m) * step.x0hat))


def test_one_particle_takes_the_step_of_ddnm(gaussian, few, stream, monkeypatch):
    step = Step(gaussian, few, Twisted(particles=1), stream, monkeypatch)
    close(step.x_s, step.ancestral(step.m * step.y + (1 - step.m) * step.x0hat))


@pytest.mark.parametrize("scale", [0.5, 5.0, 1e6])
def test_guided_normalised(gaussian, few, stream, monkeypatch, scale):
    step = Step(gaussian, few, Guided(paste=0, scale=scale, normalised=1), stream, monkeypatch)
    pull = step.e @ step.J
    kept, wanted = (np.linalg.norm(part, axis=1, keepdims=True) for part in (step.m * pull, step.e))
    reach = 1 / (1 / (scale * math.sqrt(step.ab_t)) + kept / wanted)
    assert (reach * kept <= wanted).all()
    noise = (step.x_t - math.sqrt(step.ab_t) * step.x0hat) / math.sqrt(1 - step.ab_t)
    drawn = math.sqrt((1 - step.ab_s) / (1 - step.ab_t) * (1 - step.ab_t / step.ab_s))
    carried = math.sqrt(1 - step.ab_s - drawn**2)
    close(step.x_s, math.sqrt(step.ab_s) * (step.x0hat + reach * pull) + carried * noise + drawn * step.z[1])


@pytest.mark.parametrize(
    "restorer",
    [
        *(kind() for kind in Restorer.noun.registered().values() if kind is not Inpaint),
        Join(resamplings=2, jump=2),
        Guided(normalised=1),
        DPS(zeta=0.1),
        PiGDM(eta=0.3, exact=1),
        DDNM(resamplings=2, jump=2),
        Twisted(eta=0.5, particles=3),
    ],
    ids=repr,
)
def test_all_gaussian_paths_are_one(gaussian, few, stream, restorer, monkeypatch):
    """x_t = alpha_t x + sigma_t eps and the same, scaled at every t: an exact network paints the same."""
    tau = torch.linspace(0.005, 0.98, 200)
    straight = NoisePath(1 - tau, tau)  # as in flow matching
    length = torch.hypot(straight.alphas, straight.sigmas)
    painted = []
    for path in (straight, NoisePath(straight.alphas / length, straight.sigmas / length)):
        monkeypatch.setattr(gaussian, "path", path)
        painted.append(restorer.restore(gaussian, few, stream(ROWS, (1, 4, 4)), steps=8))
    torch.testing.assert_close(*painted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("s", [150, 499, -1])
def test_particles_are_weighed_by_the_density_of_the_kept_part(gaussian, few, stream, s):
    """In the variables of the clean picture: N(y; x0hat, 1 / (SNR_s - SNR_t) + r_t^2), and the noise drawn."""
    noise = stream(ROWS, (1, 4, 4))
    clean, fresh = noise.next() * 0.3, noise.next()
    fit = Twisted()._fit(gaussian, few, clean, 600, s, fresh)
    alpha, sigma = gaussian.path.alphas.double(), gaussian.path.sigmas.double()
    snr_t = (alpha[600] / sigma[600]) ** 2
    ours = 0.0 if s < 0 else 1 / ((alpha[s] / sigma[s]) ** 2 - snr_t)
    gap = (few.original - clean + math.sqrt(ours) * fresh).double() * ~few.hidden[:, None]
    expected = -gap.square().flatten(1).sum(1) / (2 * (ours + sigma[600] ** 2 / (alpha[600] ** 2 + sigma[600] ** 2)))
    torch.testing.assert_close(fit, expected, rtol=1e-4, atol=1e-6)


def test_systematic_resampling():
    weights = torch.tensor([[0.05, 0.6, 0.35], [1 / 3, 1 / 3, 1 / 3], [0.0, 0.0, 1.0]], dtype=torch.float64)
    u = torch.linspace(0, 1, 1001, dtype=torch.float64)
    drawn = torch.stack([resampled(weights.log() - 1e5, point.expand(3)) for point in u])  # (1001, 3, 3)
    drawn = drawn - 3 * torch.arange(3)[:, None]
    counts = torch.nn.functional.one_hot(drawn, 3).sum(2)  # (1001, 3 pictures, 3 particles)
    assert (counts >= (3 * weights).floor() - 1e-9).all() and (counts <= (3 * weights + 1e-9).ceil()).all()
    first = torch.nn.functional.one_hot(drawn[:, :, 0], 3).double().mean(0)
    torch.testing.assert_close(first, weights, rtol=0, atol=2e-3)
