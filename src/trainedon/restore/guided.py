"""Restorers that follow a gradient: each step also climbs the agreement of the model's guess with the kept part.

With x0hat the guess of the clean picture in x_t, e the kept part of `original - x0hat` (0 where hidden) and J the
Jacobian of x0hat in x_t, all of them move the guess along `J^T e`: the pull. They differ in how far.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch

from trainedon.noise import NoiseStream
from trainedon.restore.restorer import TINY, Masked, Restorer, energy
from trainedon.restore.walk import fresh, noised, reverse_step, timesteps
from trainedon.spec import register
from trainedon.targets import Denoised, Target

LARGEST = 1e30  # a scale; far beyond sense, and its products stay within float32
LEAST_COSINE = 0.1  # a pull that hardly mends what it is to mend is not drawn out to more than ten times its length


class Guidance(NamedTuple):
    """What guides one step. denoised: the network's answer. error: e. pull: `J^T e`, minus half the gradient of |e|^2
    in x_t. mends: its kept part, by which the pull changes e."""

    denoised: Denoised
    error: torch.Tensor
    pull: torch.Tensor
    mends: torch.Tensor


@dataclass(frozen=True)
class Pulled(Restorer):
    """paste: 1 to join the kept part in, noised, after each step (eq. 4 of arXiv 2403.08487); 0 leaves it to the pull.
    since, until: the share of the walk, from noise to picture, that is guided; elsewhere no gradient is taken.

    The moved guess is kept within the bounds of a picture, so that no pull makes the walk diverge.
    """

    paste: int = 0
    since: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_switch("paste", self.paste)
        if not 0 <= self.since < self.until <= 1:
            self._refuse(f"0 <= since < until <= 1 must hold, not since={self.since:g}, until={self.until:g}")

    def restore(
        self, target: Target, masked: Masked, noise: NoiseStream, *, steps: int, start: float = 1.0
    ) -> torch.Tensor:
        grid = timesteps(target.timesteps, steps, start)
        x = target.noised(masked.given(), grid[0], noise.next())
        for k, (t, s) in enumerate(pairwise(grid)):
            if self._guides(k, steps):
                guidance = guidance_of(target, masked, x, t)
                said, moved = guidance.denoised.noise, guidance.denoised.clean + self._shift(target, guidance, t, s)
            else:
                said, moved = target.denoise(x, t, masked.condition)
            guess = target.bounded(moved)
            guided = Denoised(self._noise(target, said, guess, x, t), guess)
            x = reverse_step(target, guided, t, s, eta=self.eta, noise=fresh(noise, s, self.eta))
            if self.paste:
                x = masked.paste(noised(target, masked.original, s, noise), x)
        return masked.paste(masked.original, target.bounded(x))

    def evaluations(self, steps: int) -> tuple[int, int]:
        return steps, sum(self._guides(k, steps) for k in range(steps))

    @abstractmethod
    def _shift(self, target: Target, guidance: Guidance, t: int, s: int) -> torch.Tensor:
        """How far the guess of the clean picture is moved on the way from t to s, (n, c, h, w)."""

    def _noise(self, target: Target, said: torch.Tensor, guess: torch.Tensor, x: torch.Tensor, t: int) -> torch.Tensor:
        """The noise in x_t that the step carries on: what the network said, though the guess has moved."""
        return said

    def _guides(self, k: int, steps: int) -> bool:
        return self.since <= k / steps < self.until

    def _check_switch(self, name: str, value: int) -> None:
        if value not in (0, 1):
            self._refuse(f"{name} is 0 or 1, not {value:g}")

    def _check_scale(self, name: str, value: float) -> None:
        if not 0 <= value <= LARGEST:
            self._refuse(f"{name} must be a number from 0 to {LARGEST:g}, not {value:g}")


@register
@dataclass(frozen=True)
class Guided(Pulled):
    """Eq. 4 with reconstruction guidance (Ho et al., arXiv 2204.03458).

    Joining alone tells the hidden part about the kept part only through the network's own mixing. Here each step also
    climbs the gradient of the agreement between the kept pixels and the model's guess of the clean picture, so that the
    whole chain is pulled to a picture that fits what is kept; a memorised picture is then recalled whole.

    scale: how hard; above 1 it pulls on beyond what fits. normalised: 1 for a step whose length is set by what is to be
    mended rather than by the network's Jacobian. With `g` the pull and `Hg` its kept part, the step is
    `scale alpha_t g / (1 + scale alpha_t |Hg| / |e|)`: the plain one where that is short, and never one that moves the
    kept part by more than |e|. At a large scale it is `g |e| / |Hg|`, the geometric mean of the first steps of the
    minimal-residual and the conjugate-gradient solution of `H J H^T z = e`, which gives the exact conditional mean
    `x0hat + J H^T z` of a Gaussian (Rozet et al., arXiv 2405.13712).
    """

    paste: int = 1
    scale: float = 5.0
    normalised: int = 0

    name: ClassVar[str] = "guided"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_scale("scale", self.scale)
        self._check_switch("normalised", self.normalised)

    def _shift(self, target: Target, guidance: Guidance, t: int, s: int) -> torch.Tensor:
        alpha_t, _ = target.path.at(t, guidance.pull)
        step = self.scale * alpha_t
        if self.normalised:
            step = step / (1 + step * per_picture(norm(guidance.mends) / norm(guidance.error), like=guidance.pull))
        return step * guidance.pull


@register
@dataclass(frozen=True)
class DPS(Pulled):
    """Diffusion posterior sampling (Chung et al., arXiv 2209.14687, Algorithm 1): the unconditional reverse step, and
    from there `zeta_t` down the gradient of |e|^2, with `zeta_t = zeta / |e|`.

    The paper moves x_s by the gradient in x_t, on a path with `alpha^2 + sigma^2 = 1`; other paths are brought to that
    one. Its zeta of about 1 goes with 1000 steps: what few steps and larger pictures need is to be tried.
    """

    zeta: float = 1.0

    name: ClassVar[str] = "dps"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_scale("zeta", self.zeta)

    def _shift(self, target: Target, guidance: Guidance, t: int, s: int) -> torch.Tensor:
        alpha_t, sigma_t = target.path.at(t, guidance.pull)
        alpha_s, sigma_s = target.path.at(s, guidance.pull)
        to_paper = torch.hypot(alpha_t, sigma_t) * torch.hypot(alpha_s, sigma_s)  # both 1 on the paper's path
        direction = guidance.pull * per_picture(1 / norm(guidance.error), like=guidance.pull)
        return 2 * self.zeta * to_paper * direction / alpha_s  # by alpha_s, as often as the guess counts in x_s


@register
@dataclass(frozen=True)
class PiGDM(Pulled):
    """Pseudoinverse guidance (Song et al., ICLR 2023, Algorithm 1) for a kept part without noise.

    The score of the kept part is `J^T e / r_t^2`, with r_t^2 the variance of x0 given x_t. The paper weighs it by r_t^2
    again, and the two cancel. In the variables `x / alpha`, in which all Gaussian paths are one, the guess then moves
    by `alpha_t J^T e`. An exact network's `alpha_t J` has no eigenvalue above 1: the step does not overshoot, and there
    is no scale to choose.

    exact: 1 for the score itself without that weight, in the guess and in the noise (Tweedie's formula):
    `sigma_t^2 / (alpha_t r_t^2) J^T e` for the guess. In place of the paper's r_t^2, of white pictures with variance 1,
    it is the one that the network has in the direction of e, where the covariance of x0 is `sigma_t^2 / alpha_t J`: the
    guess moves by `J^T e |e|^2 / (e . J^T e)`, the first step of conjugate gradients to the exact conditional mean of a
    Gaussian (Rozet et al., arXiv 2405.13712).
    """

    exact: int = 0

    name: ClassVar[str] = "pigdm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_switch("exact", self.exact)

    def _shift(self, target: Target, guidance: Guidance, t: int, s: int) -> torch.Tensor:
        if self.exact:
            wanted, mended = norm(guidance.error), norm(guidance.mends)
            cosine = dot(guidance.error, guidance.mends) / (wanted * mended)  # above 0 for an exact network
            step = wanted / mended / cosine.clamp(min=LEAST_COSINE)
            return per_picture(step.clamp(max=LARGEST), like=guidance.pull) * guidance.pull
        alpha_t, _ = target.path.at(t, guidance.pull)
        return alpha_t * guidance.pull

    def _noise(self, target: Target, said: torch.Tensor, guess: torch.Tensor, x: torch.Tensor, t: int) -> torch.Tensor:
        alpha_t, sigma_t = target.path.at(t, x)
        return (x - alpha_t * guess) / sigma_t if self.exact else said


def guidance_of(target: Target, masked: Masked, x: torch.Tensor, t: int) -> Guidance:
    """One forward and one backward pass, of as many rows together as go through the network at once."""
    found = [_guidance(target, masked[part], x[part], t) for part in target.batching.parts(len(x))]
    noise, clean = (torch.cat(parts) for parts in zip(*(one.denoised for one in found), strict=True))
    others = (torch.cat([getattr(one, name) for one in found]) for name in ("error", "pull", "mends"))
    return Guidance(Denoised(noise, clean), *others)


def _guidance(target: Target, masked: Masked, x: torch.Tensor, t: int) -> Guidance:
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        denoised = target.denoise(x, t, masked.condition)
        error = masked.paste(masked.original - denoised.clean, torch.zeros_like(x)).detach()
        (pull,) = torch.autograd.grad((error * denoised.clean).sum(), x)
    target.evaluations.backward += len(x)
    mends = masked.paste(pull, torch.zeros_like(pull))
    return Guidance(Denoised(denoised.noise.detach(), denoised.clean.detach()), error, pull, mends)


def dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Sum of products of each pair of pictures: float64 (n,) on the CPU."""
    return (one.cpu().double() * other.cpu().double()).flatten(1).sum(1)


def norm(pictures: torch.Tensor) -> torch.Tensor:
    """Length of each picture, above 0: float64 (n,) on the CPU."""
    return energy(pictures).sqrt().clamp(min=TINY)


def per_picture(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(n,) values, to multiply pictures `like` (n, c, h, w)."""
    return values.float().to(like.device).view(-1, 1, 1, 1)
