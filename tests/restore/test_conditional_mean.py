"""Restoration against the truth: pictures drawn from a Gaussian, of which the answer is known in closed form."""

import pytest
import torch
from slowly import slowly

from trainedon.restore import DDNM, DPS, Guided, Join, Masked, Naive, PiGDM, Twisted

ROWS = 200


@pytest.fixture(scope="module")
def half(gaussian) -> Masked:
    """One picture many times, brighter than usual by two standard deviations; its right half is hidden."""
    picture = (gaussian.mean + 0.4).view(1, 1, 4, 4).expand(ROWS, -1, -1, -1)
    hidden = torch.zeros(ROWS, 4, 4, dtype=torch.bool)
    hidden[:, :, 2:] = True
    return Masked(picture, torch.where(hidden[:, None], torch.zeros(()), picture), hidden)


def recovered(gaussian, half, restorer, noise, steps) -> tuple[float, float]:
    """How much of the way from the prior mean to the conditional mean the restorations go, and their spread in
    conditional standard deviations."""
    gaussian.batching.rows = 4096
    hidden = half.hidden[0].flatten()
    mean, covariance = gaussian.conditional(half.original[0].flatten(), hidden)
    painted = restorer.restore(gaussian, half, noise, steps=steps).flatten(1)[:, hidden]
    wanted, found = mean - gaussian.mean[hidden], painted.mean(0) - gaussian.mean[hidden]
    return float(found @ wanted / (wanted @ wanted)), float((painted.std(0) / covariance.diag().sqrt()).mean())


@pytest.mark.parametrize(
    ("restorer", "steps", "share", "spread"),
    [
        # the degraded half says "grey", which is the prior mean: nothing is known of the kept half
        (Naive(), 50, (-0.1, 0.1), (1.1, 1.4)),
        # joining takes it half the way, as the network's answer for the hidden part lags behind the kept one
        (Join(), 50, (0.5, 0.65), (0.8, 1.1)),
        (Guided(scale=0), 50, (0.5, 0.65), (0.8, 1.1)),
        # walking each stretch again brings it near
        (Join(resamplings=4, jump=5), 50, (0.7, 0.95), (0.75, 1.05)),
        # and guidance of unit scale all the way
        (Guided(scale=1), 50, (0.95, 1.08), (0.6, 0.9)),
        (Guided(scale=2), 20, (0.92, 1.08), (0.5, 0.8)),
        # the default pulls on beyond the mean, to what sets a remembered picture apart
        (Guided(), 20, (1.1, 1.5), (0.5, 0.75)),
        # which guidance of part of the walk does as long as it is the last part, where there is something to see
        (Guided(since=0.5), 20, (1.1, 1.5), (0.5, 0.75)),
        (Guided(until=0.5), 20, (0.4, 0.65), (0.8, 1.1)),
        # normalised, it pulls no further than that at any scale, where the plain one is torn apart
        (Guided(scale=1, normalised=1), 20, (0.62, 0.8), (0.7, 0.9)),
        (Guided(normalised=1), 20, (0.88, 1.04), (0.6, 0.8)),
        (Guided(scale=1e30, normalised=1), 20, (1.1, 1.35), (0.5, 0.75)),
        (Guided(scale=100), 20, (0.5, 1.5), (3, 10)),
        # one coherent noising of the kept part does as well as a new one at every step
        (DDNM(), 50, (0.5, 0.65), (0.9, 1.15)),
        *slowly((DDNM(resamplings=4, jump=5), 50, (0.7, 0.9), (0.75, 1.0))),
        (DPS(zeta=0.3), 50, (1.0, 1.16), (0.65, 0.87)),
        # the paper's weights pull harder the more steps there are
        (PiGDM(), 20, (0.68, 0.82), (0.6, 0.8)),
        *slowly((PiGDM(), 50, (0.93, 1.08), (0.7, 0.9))),
        (Twisted(particles=1), 50, (0.5, 0.65), (0.9, 1.15)),
        *slowly((Twisted(particles=8), 50, (0.75, 0.92), (0.8, 1.0))),
    ],
    ids=repr,
)
def test_the_conditional_mean_is_recovered(gaussian, half, stream, restorer, steps, share, spread):
    found, width = recovered(gaussian, half, restorer, stream(range(ROWS), (1, 4, 4)), steps)
    assert share[0] < found < share[1]
    assert spread[0] < width < spread[1]


@pytest.mark.parametrize("eta", [1.0, *slowly(0.0)])
def test_exact_pseudoinverse_guidance_nears_the_conditional_distribution(gaussian, half, stream, eta):
    """The mean with any number of steps, the spread as they grow."""
    for steps, spread in ((20, (0.55, 0.75)), (50, (0.75, 0.92)), (200, (0.9, 1.07))):
        restorer = PiGDM(eta=eta, exact=1)
        found, width = recovered(gaussian, half, restorer, stream(range(ROWS), (1, 4, 4)), steps)
        assert 0.95 < found < 1.05
        assert spread[0] < width < spread[1]


@pytest.mark.slow
def test_particles_near_the_conditional_distribution_as_they_grow(gaussian, half, stream):
    found, widths = zip(
        *(
            recovered(gaussian, half, Twisted(particles=particles), stream(range(ROWS), (1, 4, 4)), 50)
            for particles in (1, 4, 16)
        )
    )
    assert found[0] + 0.1 < found[1] < found[2] - 0.05 and 0.8 < found[2] < 1.03
    assert 0.75 < widths[2] < 1.05


def test_guidance_and_joining_are_the_same_walk_at_scale_zero(gaussian, half, stream):
    """Only clipping may tell them apart, and these pictures lie well inside the range."""
    one = Join().restore(gaussian, half, stream(range(ROWS), (1, 4, 4)), steps=10)
    other = Guided(scale=0).restore(gaussian, half, stream(range(ROWS), (1, 4, 4)), steps=10)
    assert (one - other).abs().mean() < 1e-3


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_with_everything_hidden_the_model_draws_its_own_distribution(gaussian, stream, eta):
    gaussian.batching.rows = 4096
    rows = 1000
    blank, hidden = torch.zeros(rows, 1, 4, 4), torch.ones(rows, 4, 4, dtype=torch.bool)
    drawn = Join(eta=eta).restore(gaussian, Masked(blank, blank, hidden), stream(range(rows), (1, 4, 4)), steps=40)
    drawn = drawn.flatten(1)
    torch.testing.assert_close(drawn.mean(0), gaussian.mean, rtol=0, atol=0.025)
    # a coarse walk draws a little too close together; the exact limit is many steps
    assert 0.65 < drawn.T.cov().trace() / gaussian.covariance.trace() < 1.02
    spread = gaussian.covariance.diag().sqrt()
    torch.testing.assert_close(
        torch.corrcoef(drawn.T), gaussian.covariance / torch.outer(spread, spread), rtol=0, atol=0.12
    )


def test_the_walk_nears_the_distribution_as_steps_grow(gaussian, stream):
    gaussian.batching.rows = 4096
    rows = 800
    blank, hidden = torch.zeros(rows, 1, 4, 4), torch.ones(rows, 4, 4, dtype=torch.bool)
    masked, errors = Masked(blank, blank, hidden), []
    for steps in (5, 20, 80):
        drawn = Join(eta=0.0).restore(gaussian, masked, stream(range(rows), (1, 4, 4)), steps=steps).flatten(1)
        errors.append((drawn.T.cov() - gaussian.covariance).norm() / gaussian.covariance.norm())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.2
