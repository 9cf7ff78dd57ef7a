"""How a network that somebody brings along was noised and is told of it, and the noise path that attacks see instead.

Such a network knows `y_t = a_t u + s_t eps` of pictures u in a range of its own. Attacks know pictures x in [-1, 1] and
a path of bounded numbers. Both are the same pictures and the same noise: with u = middle + half * x

    x_t = (y_t - a_t middle) / c_t = (a_t half / c_t) x + (s_t / c_t) eps

has the signal-to-noise ratio of y_t, and c_t is chosen so that the path of x_t is one of the two kinds that attacks
meet elsewhere, alpha^2 + sigma^2 = 1 or, for flow matching, alpha + sigma = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import torch

from trainedon.errors import UserError
from trainedon.targets.core.denoised import Denoised, answer_of, denoised_by
from trainedon.targets.core.path import NoisePath, Prediction

Numbers = Sequence[float] | torch.Tensor
BetaSchedule = Literal["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"]
Levels = Literal["edm", "flow"]
Times = Literal["index", "share", "sigma", "1-sigma"]
FLOWS: tuple[Prediction, ...] = ("flow", "reverse_flow")
KNOWN: tuple[Prediction, ...] = ("epsilon", "sample", "v_prediction", *FLOWS, "score")
POINTS = 1000  # of a path in continuous time
MOST = 10_000  # timesteps
MOST_AT_FIRST = 1 - 0.9**2  # beta: alpha is below 0.9 after it
NEARLY = 1e-5  # how far float32 numbers may be from where a path says that they are


@dataclass(frozen=True, eq=False)
class OwnNoise:
    """native: a_t and s_t of the network's own path. numbers: (T,), int64 or float32, what the network is given for t.
    prediction: what it answers, in terms of its own path. pixels: the range of its pictures."""

    native: NoisePath
    numbers: torch.Tensor
    prediction: Prediction
    pixels: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        a, s = self.native.alphas.double(), self.native.sigmas.double()
        if self.prediction == "v_prediction" and not _near(a.square() + s.square(), 1):
            raise UserError("v_prediction is of paths with alpha^2 + sigma^2 = 1, and these levels are of another one")
        if self.prediction in FLOWS and not _near(a + s, 1):
            raise UserError(f'{self.prediction} is of paths with alpha + sigma = 1: give sigmas="flow"')

    @property
    def half(self) -> float:
        """Half the width of the pictures' range."""
        return (self.pixels[1] - self.pixels[0]) / 2

    @property
    def middle(self) -> float:
        """The middle of the pictures' range."""
        return (self.pixels[1] + self.pixels[0]) / 2

    @cached_property
    def scales(self) -> torch.Tensor:
        """c_t, float64 (T,); exactly 1 where the network's own path is one of the two kinds, so that no bit changes."""
        a, s = self.native.alphas.double() * self.half, self.native.sigmas.double()
        scales = a + s if self.prediction in FLOWS else (a.square() + s.square()).sqrt()
        return torch.where((scales - 1).abs() < NEARLY, 1.0, scales)

    @cached_property
    def seen(self) -> NoisePath:
        """The noise path that attacks see."""
        alphas, sigmas = self.native.alphas.double() * self.half / self.scales, self.native.sigmas / self.scales
        return NoisePath(alphas.float(), sigmas.float(), self.numbers.float())

    @cached_property
    def is_seen_as_it_is(self) -> bool:
        """Whether attacks see the network's own path and range."""
        return self.pixels == (-1, 1) and bool((self.scales == 1).all())

    def given(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """y_t (n, c, h, w), as the network was trained on it. t: int64 (n,)."""
        a, _ = self.native.at(t, x_t)
        scale = self.scales.float()[t.cpu()].view(-1, 1, 1, 1).to(x_t)
        return scale * x_t + self.middle * a

    def on_path(self, x_t: torch.Tensor, t: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        """The network's answer to `given(x_t, t)`, as one of the same kind on `path()` would be."""
        a, s = self.native.at(t, x_t)
        said = denoised_by(self.prediction, self.given(x_t, t), answer, a, s)
        assert said is not None, self.prediction  # `noise_of` knows all of KNOWN
        seen = Denoised(said.noise, (said.clean - self.middle) / self.half)
        return answer_of(self.prediction, seen, *self.seen.at(t, x_t))


def noise_of(
    betas: Numbers | str | None,
    sigmas: Numbers | str | None,
    path: NoisePath | None,
    times: Numbers | str | None,
    prediction: str,
    pixels: tuple[float, float],
) -> tuple[OwnNoise, str]:
    """The noise of a network as `Target.of` is told of it, and the same in words. Raises UserError."""
    native, usual, told = _native(betas, sigmas, path)
    wanted = usual if times is None else times
    numbers = _numbers(native, wanted)
    as_what = wanted if isinstance(wanted, str) else "numbers of its own"
    known = next((one for one in KNOWN if one == prediction), None)
    if known is None:
        raise UserError(f"prediction {prediction!r} is not known: one of {', '.join(KNOWN)} is needed")
    low, high = _range(pixels)
    words = f"{told}; t as {as_what}; answers {known}; pictures in [{low:g}, {high:g}]"
    return OwnNoise(native, numbers, known, (low, high)), words


def _native(
    betas: Numbers | str | None, sigmas: Numbers | str | None, path: NoisePath | None
) -> tuple[NoisePath, Times | torch.Tensor, str]:
    """The network's own path, how it is told of t where nobody said, and the path in words."""
    if sum(one is not None for one in (betas, sigmas, path)) != 1:
        raise UserError("how the network was noised is said in one way: give betas, sigmas or path")
    if path is not None:
        if not isinstance(path, NoisePath):
            raise UserError(
                f"path is of type {type(path).__name__}: give trainedon.targets.NoisePath(alphas, sigmas, times)"
            )
        return path, path.times, f"a path of {len(path)} steps"
    if betas is not None:
        return _of_betas(betas), "index", f"{betas if isinstance(betas, str) else 'own'} betas"
    if isinstance(sigmas, str):
        if sigmas == "flow":  # x_t = (1 - s) x + s eps
            return NoisePath.from_flow({}, tokens=0), "sigma", "flow matching"
        if sigmas != "edm":
            raise UserError(f"sigmas {sigmas!r} is not known: one of {', '.join(get_args(Levels))}, or numbers")
        return _exploding(edm_levels()), "sigma", "noise levels of EDM"
    levels = _column(sigmas, "sigmas")
    if not ((levels > 0).all() and (levels.diff() > 0).all()):
        raise UserError("sigmas are the noise levels of x + sigma eps: numbers above 0 that grow")
    return _exploding(levels), "sigma", f"{len(levels)} noise levels"


def edm_levels(lowest: float = 0.002, highest: float = 80.0, points: int = POINTS, rho: float = 7.0) -> torch.Tensor:
    """Noise levels from `lowest` to `highest`, float64 (points,), spaced as in arXiv 2206.00364, eq. 5."""
    share = torch.linspace(0, 1, points, dtype=torch.float64)
    first, last = lowest ** (1 / rho), highest ** (1 / rho)
    return torch.lerp(torch.tensor(first).double(), torch.tensor(last).double(), share) ** rho


def _exploding(levels: torch.Tensor) -> NoisePath:
    """x + sigma eps."""
    return NoisePath(torch.ones(len(levels)), levels.float())


def _of_betas(betas: Numbers | str) -> NoisePath:
    if isinstance(betas, str):
        if betas not in get_args(BetaSchedule):
            raise UserError(f"betas {betas!r} are not known: one of {', '.join(get_args(BetaSchedule))}, or numbers")
        return NoisePath.from_scheduler({"beta_schedule": betas})
    rising = _column(betas, "betas")
    if not ((rising > 0) & (rising <= 1)).all():
        raise UserError("betas are the variances that each step adds: numbers above 0, and at most 1")
    if rising[0] > MOST_AT_FIRST:
        raise UserError(
            f"the first of betas is {rising[0].item():g}, so that the first step leaves less than 0.9 of the picture: "
            "these look like alphas, give betas; other levels are said by path=NoisePath(alphas, sigmas)"
        )
    alpha_bars = (1 - rising.float()).cumprod(0).double()  # in float32, as diffusers computes them
    return NoisePath(alpha_bars.sqrt().float(), (1 - alpha_bars).sqrt().float())


def _numbers(native: NoisePath, times: Numbers | str) -> torch.Tensor:
    """What the network is given for t, (T,): int64 or float32."""
    steps = torch.arange(len(native))
    if isinstance(times, str):
        known: dict[str, torch.Tensor] = {
            "index": steps,
            "share": steps.float() / len(native),
            "sigma": native.sigmas.float(),
            "1-sigma": 1 - native.sigmas.float(),
        }
        if times not in known:
            raise UserError(f"times {times!r} is not known: one of {', '.join(known)}, or a number for each step")
        return known[times]
    numbers = _column(times, "times")
    if len(numbers) != len(native):
        raise UserError(f"times has {len(numbers):,} numbers for {len(native):,} steps: one each is needed")
    whole = not torch.as_tensor(times).is_floating_point()
    return numbers.long() if whole else numbers.float()


def _column(given: Any, name: str) -> torch.Tensor:
    """Numbers as float64 (T,). Raises UserError for what is none, or not finite."""
    try:
        column = torch.as_tensor(given).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{name} are no numbers ({str(error).splitlines()[0]}): give a number for each step") from None
    if column.ndim != 1 or not 2 <= len(column) <= MOST:
        raise UserError(f"{name} have the shape {tuple(column.shape)}: give one number for each of 2 to {MOST:,} steps")
    if not column.isfinite().all():
        raise UserError(f"{name} hold numbers that are not finite")
    return column


def _range(pixels: Any) -> tuple[float, float]:
    try:
        low, high = map(float, pixels)
    except (TypeError, ValueError):
        raise UserError(f"pixels {pixels!r} is no range: give (0, 1), (0, 255) or (-1, 1)") from None
    if not -1e6 < low < high < 1e6:
        raise UserError(f"pixels ({low:g}, {high:g}): the first number is that of black, the second that of white")
    return low, high


def _near(numbers: torch.Tensor, one: float) -> bool:
    return bool((numbers - one).abs().max() < NEARLY)
