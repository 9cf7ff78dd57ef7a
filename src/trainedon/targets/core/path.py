"""The noise path `x_t = alpha_t x + sigma_t eps` that a model was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from trainedon.errors import UserError
from trainedon.targets.reading.configs import defaults, effective
from trainedon.targets.reading.schedulers import PATH

# What a network answers; a service, none. `score` and `reverse_flow` are of networks that somebody brings along.
Prediction = Literal["epsilon", "sample", "v_prediction", "flow", "score", "reverse_flow", "none"]
PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "sample", "v_prediction")  # those that a scheduler names


@dataclass(frozen=True, eq=False)
class NoisePath:
    """alphas, sigmas: float32 (T,) on the CPU, index t in [0, T); `alpha_t^2 + sigma_t^2 = 1` for DDPM-style models,
    `alpha_t + sigma_t = 1` for flow matching. times: float32 (T,), the number that stands for t in
    the network.

    A path in continuous time is one of T points on it.
    """

    alphas: torch.Tensor
    sigmas: torch.Tensor
    times: torch.Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.times is None:
            object.__setattr__(self, "times", torch.arange(len(self.alphas), dtype=torch.float32))

    @classmethod
    def from_scheduler(cls, config: dict[str, Any], kind: str = "DDPMScheduler") -> NoisePath:
        """From a scheduler's configuration, as the diffusers class `kind` reads it: linear, scaled-linear,
        squared-cosine and trained betas, with or without rescaling to zero terminal signal-to-noise ratio (Lin et al.,
        arXiv 2305.08891, Algorithm 1). What it does not say is as in that class."""
        import diffusers  # late, as it takes seconds

        usual = {key: value for key, value in defaults(getattr(diffusers, kind)).items() if key in PATH}
        arguments = usual | {key: value for key, value in effective(config).items() if key in usual}
        try:
            alpha_bars = _alpha_bars(arguments, kind).double()
        except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"the model's noise schedule cannot be read ({reason}): check scheduler_config.json"
            ) from None
        falling = (alpha_bars <= torch.cat([alpha_bars.new_ones(1), alpha_bars[:-1]])).all()
        if not (len(alpha_bars) and falling and alpha_bars[-1] >= 0):  # NaN compares false
            raise UserError("the model's noise schedule does not go from picture to noise: check scheduler_config.json")
        return cls(alpha_bars.sqrt().float(), (1 - alpha_bars).sqrt().float())

    @classmethod
    def from_flow(cls, config: dict[str, Any], tokens: int) -> NoisePath:
        """Flow matching, `x_t = (1 - sigma) x + sigma eps` (arXiv 2403.03206), from a scheduler's configuration.

        The noise levels 1/T, 2/T, ..., 1 are shifted (sec. 5.3.2 there): by `shift`, or as it goes with so many tokens
        of the picture (`use_dynamic_shifting`). Raises UserError for a configuration that gives no path.
        """
        config = effective(config)
        total = config.get("num_train_timesteps", 1000)
        try:
            levels = torch.arange(1, total + 1, dtype=torch.float64) / total
            by = _dynamic_shift(config, tokens) if config.get("use_dynamic_shifting") else config.get("shift", 1.0)
            sigmas = by * levels / (1 + (by - 1) * levels)
            if not (len(sigmas) and by > 0 and torch.isfinite(sigmas).all()):
                raise ValueError(f"shift {by}")
        except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise UserError(
                f"the model's noise schedule cannot be read ({error}): check scheduler_config.json"
            ) from None
        return cls((1 - sigmas).float(), sigmas.float(), (sigmas * total).float())

    def __len__(self) -> int:
        return len(self.alphas)

    def at(self, t: torch.Tensor | int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha_t and sigma_t, shaped to multiply pictures `like` (n, c, h, w); t = -1 stands for the clean picture."""
        t = torch.as_tensor(t).cpu().reshape(-1)
        clean = t < 0
        shape = (-1, *[1] * (like.ndim - 1))
        alpha = torch.where(clean, 1.0, self.alphas[t.clamp(min=0)]).view(shape)
        sigma = torch.where(clean, 0.0, self.sigmas[t.clamp(min=0)]).view(shape)
        return alpha.to(like), sigma.to(like)

    def like_ddpm(self, t: int) -> int:
        """The timestep whose signal-to-noise ratio is nearest to that of step `t` of the usual DDPM path (linear betas
        1e-4..0.02, T = 1000), in which the papers give their timesteps. The same `t` on that path."""
        reference = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        alpha_bar = (1 - reference).cumprod(0)[t]
        wanted = (alpha_bar / (1 - alpha_bar)).log()
        ratios = (self.alphas.double().clamp(min=1e-12) / self.sigmas.double().clamp(min=1e-12)).log() * 2
        return int((ratios - wanted).abs().argmin())


def prediction_of(config: dict[str, Any]) -> Prediction:
    """What a network answers, one of PREDICTIONS, by its scheduler's configuration. Raises UserError for another."""
    said = config.get("prediction_type", "epsilon")
    found = next((one for one in PREDICTIONS if one == said), None)
    if found is None:
        raise UserError(f"prediction type {said!r} is not supported: one of {', '.join(PREDICTIONS)} is needed")
    return found


def _alpha_bars(arguments: dict[str, Any], kind: str) -> torch.Tensor:
    """`alphas_cumprod` by DDPMScheduler, as every class computes it the same and others are slow to construct; by
    `kind` itself for a schedule that DDPMScheduler does not have, such as `exp`."""
    import diffusers

    schedulers: Any = diffusers
    try:
        scheduler = schedulers.DDPMScheduler(**arguments)
    except NotImplementedError:
        scheduler = getattr(schedulers, kind)(**arguments)
    alpha_bars: torch.Tensor = scheduler.alphas_cumprod
    return alpha_bars


def _dynamic_shift(config: dict[str, Any], tokens: int) -> float:
    """The shift for a picture of so many tokens: as diffusers' Flux pipeline has it."""
    base, most = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    mu = low + (high - low) * (tokens - base) / (most - base)
    return mu if config.get("time_shift_type") == "linear" else math.exp(mu)
