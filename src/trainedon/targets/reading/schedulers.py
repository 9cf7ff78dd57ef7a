"""Schedulers: which are known, and what of their configuration says how the network was trained."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from trainedon.errors import UserError
from trainedon.targets.reading import schema
from trainedon.targets.reading.configs import defaults, effective, unknown

# Schedulers whose training noise path is the DDPM one, read from the same configuration keys.
SCHEDULERS = {
    "DDPMScheduler",
    "DDIMScheduler",
    "DDIMInverseScheduler",
    "DDPMParallelScheduler",
    "DDIMParallelScheduler",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "RePaintScheduler",
    "TCDScheduler",
    "LCMScheduler",
}
FLOWS = {"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"}
# Of a scheduler: what the noise path and the network's task follow from; all else is of samplers.
PATH = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
SAYING = (*PATH, "prediction_type")
NEEDED = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")  # which are never nothing
# Of samplers, but these values say that the network was trained in another way, which no adapter here asks it in.
OTHERWISE: dict[str, object] = {"use_flow_sigmas": True, "timestep_type": "continuous", "invert_sigmas": True}
# What diffusers no longer knows, and which values of it say nothing.
OUTDATED: dict[str, tuple[Any, ...]] = {
    "predict_epsilon": (True, None),
    "tensor_format": ("pt",),
    "timestep_values": (None,),
}
OUTDATED |= {"timesteps": (1000,), "set_alpha_to_zero": (False, None), "variance_type": ("fixed_small", "fixed_large")}
# Parameters of other samplers, which stay in a configuration when one is put in another's place.
OF_OTHERS = {"noise_sampler_seed", "s_churn", "s_noise", "s_tmin", "s_tmax", "solver_p", "thresholding"}


def check_scheduler(config: dict[str, Any], kind: type, path: Path) -> None:
    """Raises UserError when a scheduler's configuration has a key that no scheduler knows, or one with a say that its
    class passes over, or a value that cannot stand there, or says that the network was trained in a way that is not
    supported."""
    schema.check_size(config, path)
    schema.check_private(config, path)
    known = defaults(kind)
    samplers = _of_samplers()
    for key, value in effective(config).items():
        if key in OTHERWISE and value == OTHERWISE[key]:
            raise UserError(f"{path}: {key} = {value!r} is not supported: it changes what the network is asked")
        schema.check_value(path, key, value, schema.SCHEDULERS.get(key, schema.ASIDE), key not in NEEDED)
        if key in known or (key in OUTDATED and value in OUTDATED[key]):
            continue
        told = key in SAYING and value not in (None, False) and value != _usual(key)
        if told or (key not in SAYING and key not in samplers):
            raise unknown(path, key, value, kind)
    _check_betas(effective(config), path)


def _check_betas(config: dict[str, Any], path: Path) -> None:
    """Raises UserError for betas that fall, and for a list of them that is not as long as the path."""
    first, last = config.get("beta_start", 0), config.get("beta_end", 1)
    if first > last:
        raise UserError(f"{path}: beta_start {first:g} is above beta_end {last:g}: noise grows the other way")
    betas, total = config.get("trained_betas"), config.get("num_train_timesteps", _usual("num_train_timesteps"))
    if betas is not None and len(betas) != total:
        raise UserError(f"{path}: trained_betas has {len(betas):,} numbers for {total} timesteps: one each is needed")


def _usual(key: str) -> object:
    import diffusers

    return defaults(diffusers.DDPMScheduler).get(key)


@cache
def _of_samplers() -> set[str]:
    """The parameters of all schedulers on the lists."""
    import diffusers

    return {key for name in SCHEDULERS | FLOWS for key in defaults(getattr(diffusers, name))} | OF_OTHERS
