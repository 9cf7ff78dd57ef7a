"""The timesteps that are visited, and one step, against diffusers and against the published counts."""

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, RePaintScheduler

from trainedon.errors import UserError
from trainedon.restore.walk import CLEAN, forward_step, jumps, reverse_step, timesteps
from trainedon.targets import Denoised


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1000, 4), [999, 749, 499, 249, CLEAN]),
        ((1000, 1), [999, CLEAN]),
        ((10, 10), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, CLEAN]),
        ((1000, 2, 0.5), [499, 249, CLEAN]),
        ((1000, 3), [999, 666, 332, CLEAN]),
    ],
)
def test_timesteps(arguments, expected):
    assert timesteps(*arguments) == expected


@pytest.mark.parametrize("total", [10, 50, 1000])
@pytest.mark.parametrize("start", [0.3, 0.5, 1.0])
def test_timesteps_fall_evenly_from_the_top_to_the_clean_picture(total, start):
    for steps in range(1, int(start * total) + 1):
        grid = timesteps(total, steps, start)
        assert len(grid) == steps + 1 and grid[0] == round(start * total) - 1 and grid[-1] == CLEAN
        gaps = [t - s for t, s in pairwise(grid)]
        assert min(gaps) >= 1 and max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("arguments", [(10, 11), (1000, 600, 0.5), (1000, 1001), (10, 0), (10, -1)])
def test_more_steps_than_there_are_timesteps_are_refused(arguments):
    with pytest.raises(UserError, match="steps"):
        timesteps(*arguments)


@pytest.mark.parametrize(
    ("steps", "length", "resamplings", "evaluations"),
    [(250, 10, 10, 2410), (250, 10, 1, 250), (100, 10, 5, 460), (50, 10, 5, 210), (50, 10, 2, 90)],
)
def test_jumps_are_repaints(steps, length, resamplings, evaluations):
    """The published numbers of network passes (arXiv 2201.09865), and the very walk of diffusers' RePaintScheduler."""
    moves = jumps(steps, length, resamplings)
    assert sum(j > i for i, j in moves) == evaluations
    scheduler = RePaintScheduler(num_train_timesteps=steps)
    scheduler.set_timesteps(steps, jump_length=length, jump_n_sample=resamplings)
    walk = [*scheduler.timesteps.tolist()]
    down = [t for t, before in zip(walk, [walk[0] + 1, *walk]) if t < before]  # where diffusers asks the network
    assert [steps - 1 - i for i, j in moves if j > i] == down


@pytest.mark.parametrize(("steps", "length", "resamplings"), [(20, 1, 1), (20, 3, 4), (7, 10, 5), (1, 1, 3), (5, 5, 2)])
def test_jumps_are_one_walk_from_noise_to_picture(steps, length, resamplings):
    moves = jumps(steps, length, resamplings)
    assert moves[0][0] == 0 and moves[-1][1] == steps
    assert all(before[1] == after[0] for before, after in pairwise(moves))
    assert all(j - i in (1, -length) and 0 <= j <= steps for i, j in moves)


@pytest.mark.parametrize("schedule", [{}, {"beta_schedule": "squaredcos_cap_v2"}, {"beta_schedule": "scaled_linear"}])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_reverse_step_is_that_of_ddim(toy, stream, schedule, eta):
    target = toy(**schedule)
    scheduler = DDIMScheduler(**schedule, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    grid = timesteps(1000, 20)
    assert scheduler.timesteps.tolist() == grid[:-1]
    noise = stream(range(4))
    for t, s in [(grid[i], grid[i + 1]) for i in (1, 10, 18, 19)]:
        x_t, answer, fresh = noise.next(), noise.next(), noise.next()
        alpha, sigma = target.path.at(t, x_t)
        denoised = Denoised(answer, (x_t - sigma * answer) / alpha)
        stepped = reverse_step(target, denoised, t, s, eta=eta, noise=fresh)
        expected = scheduler.step(answer, t, x_t, eta=eta, variance_noise=fresh).prev_sample
        torch.testing.assert_close(stepped, expected, rtol=1e-4, atol=1e-4)


def test_a_deterministic_step_needs_no_noise(toy, stream):
    target = toy()
    answer = Denoised(stream(range(3)).next(), stream(range(3), draw=1).next())
    noise = stream(range(3), draw=2).next()
    without = reverse_step(target, answer, 500, 400, eta=0.0, noise=None)
    assert torch.equal(without, reverse_step(target, answer, 500, 400, eta=0.0, noise=noise))
    assert not torch.equal(without, reverse_step(target, answer, 500, 400, eta=1.0, noise=noise))
    assert torch.equal(reverse_step(target, answer, 49, CLEAN, eta=1.0, noise=noise), answer.clean)


def test_a_perfect_answer_keeps_the_share_of_noise(toy, stream):
    """From x_t with the true noise, x_s has the variance of the noise path, whatever eta."""
    target = toy()
    picture, noise, fresh = (stream(range(300), draw=draw).next() for draw in range(3))
    for eta in (0.0, 0.5, 1.0):
        x_s = reverse_step(target, Denoised(noise, 0 * picture), 700, 300, eta=eta, noise=fresh)
        assert x_s.var().item() == pytest.approx(target.path.sigmas[300].item() ** 2, rel=0.02)


@pytest.mark.parametrize(("s", "t"), [(CLEAN, 0), (CLEAN, 600), (200, 201), (100, 900), (499, 999)])
def test_a_forward_step_follows_the_noise_path(toy, stream, s, t):
    target = toy(rescale_betas_zero_snr=True)
    noise, fresh = stream(range(300)).next(), stream(range(300), draw=1).next()
    picture = torch.full((300, 3, 8, 8), 0.7)
    x_t = forward_step(target, target.noised(picture, s, noise), s, t, fresh)
    alpha, sigma = target.path.alphas[t].item(), target.path.sigmas[t].item()
    assert x_t.mean().item() == pytest.approx(0.7 * alpha, abs=0.02)
    assert x_t.std().item() == pytest.approx(sigma, rel=0.02)
