"""Which timesteps a restoration visits, and one reverse step of it."""

from __future__ import annotations

import torch

from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.targets import Denoised, Target

CLEAN = -1


def timesteps(total: int, steps: int, start: float = 1.0) -> list[int]:
    """`steps` timesteps from the top of the noise path down, evenly spaced, then CLEAN: length steps + 1.

    start: share of the path that is walked; 1 begins at the last timestep, total - 1. Raises UserError when the path
    has fewer timesteps than that.
    """
    top = start * total
    if steps < 1:
        raise UserError(f"{steps} steps are no walk: at least 1 is needed")
    grid = [max(round(top - i * top / steps) - 1, 0) for i in range(steps)]
    if len(set(grid)) < steps:
        raise UserError(f"{steps} steps do not fit into {round(top)} timesteps: take fewer steps")
    return [*grid, CLEAN]


def jumps(steps: int, length: int, resamplings: int) -> list[tuple[int, int]]:
    """Moves on the grid of `timesteps`, as pairs of its indices: down (i, i + 1), and back up (i, i - length).

    RePaint's schedule (Lugmayr et al., arXiv 2201.09865, Algorithm 1 and its time schedule): every `length` steps the
    walk goes back up by `length` steps, until each stretch was walked `resamplings` times.
    """
    left = dict.fromkeys(range(0, steps - length, length), resamplings - 1)  # counted from the clean end
    moves, at = [], steps
    while at > 0:
        at -= 1
        moves.append((steps - at - 1, steps - at))
        if left.get(at, 0) > 0:
            left[at] -= 1
            moves.append((steps - at, steps - at - length))
            at += length
    return moves


def fresh(noise: NoiseStream, s: int, eta: float = 1.0) -> torch.Tensor | None:
    """The next noise for a step down to s, or None where the step makes nothing of it, so that it need not be drawn."""
    if s == CLEAN or eta == 0:
        noise.skip()
        return None
    return noise.next()


def noised(target: Target, pictures: torch.Tensor, s: int, noise: NoiseStream) -> torch.Tensor:
    """Pictures with the next noise, at step s."""
    drawn = fresh(noise, s)
    return pictures if drawn is None else target.noised(pictures, s, drawn)


def reverse_step(
    target: Target, denoised: Denoised, t: int, s: int, *, eta: float, noise: torch.Tensor | None
) -> torch.Tensor:
    """x_s given what the network says of x_t, s < t (DDIM, Song et al., arXiv 2010.02502, eq. 12 and 16).

    eta 0 is deterministic, eta 1 draws from the model's posterior. Written for any Gaussian path: the share of fresh
    noise is `eta sigma_s / sigma_t sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2)`.
    """
    if s == CLEAN:
        return denoised.clean
    alpha_s, carried, drawn = shares(target, denoised.clean, t, s, eta)
    x_s = alpha_s * denoised.clean + carried * denoised.noise
    return x_s if noise is None else x_s + drawn * noise


def shares(
    target: Target, like: torch.Tensor, t: int, s: int, eta: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a reverse step makes x_s of: so much of the clean picture, of the noise in x_t, and of fresh noise.

    Each is shaped to multiply pictures `like` (n, c, h, w).
    """
    alpha_t, sigma_t = target.path.at(t, like)
    alpha_s, sigma_s = target.path.at(s, like)
    between = (sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2).clamp(min=0).sqrt()
    fresh = eta * sigma_s / sigma_t * between
    return alpha_s, (sigma_s**2 - fresh**2).clamp(min=0).sqrt(), fresh


def forward_step(target: Target, x_s: torch.Tensor, s: int, t: int, noise: torch.Tensor) -> torch.Tensor:
    """x_t drawn given x_s, s < t: the noise path from s on."""
    alpha_t, sigma_t = target.path.at(t, x_s)
    alpha_s, sigma_s = target.path.at(s, x_s)
    ratio = alpha_t / alpha_s
    return ratio * x_s + (sigma_t**2 - ratio**2 * sigma_s**2).clamp(min=0).sqrt() * noise
