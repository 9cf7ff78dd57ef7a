"""Few-step students: models distilled from others, which are known to lose the memory of single pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# In the names of models and adapters, as words of their own.
WORDS = {"lcm", "tcd", "pcm", "hyper", "hypersd", "dmd", "dmd2", "sdxs"}
LONG = re.compile(r"turbo|schnell|distilled|lightning(?!.?logs)")  # within a word too
SCHEDULERS = {"LCMScheduler": "latent consistency", "TCDScheduler": "trajectory consistency distillation"}
# Not the end of another number (1e-4, v1.4), nor a count of steps behind the word (steps-5000).
STEPS = re.compile(r"(?<![a-z0-9.])(?<!\de-)([1-9]|1[0-6])[-_ ]?steps?(?![a-z0-9])(?![^a-z0-9]\d)")


def distilled(
    scheduler: str, settings: dict[str, Any], network: dict[str, Any], family: str, names: Iterable[str]
) -> str | None:
    """Why a model is taken for a few-step student, as a clause; None for one that nothing speaks for.

    scheduler: its class. settings: its configuration. network: that of the network. names: of the model.
    """
    if scheduler in SCHEDULERS:
        return f"its scheduler is {scheduler}, the sampler of {SCHEDULERS[scheduler]}"
    if network.get("time_cond_proj_dim") is not None:
        return "its network is told a strength of guidance (time_cond_proj_dim), as latent consistency models are"
    if family == "Flux" and not network.get("guidance_embeds"):
        return "it is a Flux whose network is told no strength of guidance, as that of Flux schnell"
    if (
        scheduler.startswith("Euler")
        and settings.get("timestep_spacing") == "trailing"
        and settings.get("prediction_type", "epsilon") in ("epsilon", "sample")
        and not settings.get("rescale_betas_zero_snr")
    ):
        return f"its scheduler is {scheduler} with trailing timesteps, as in SD Turbo, SDXL Turbo and SDXL Lightning"
    origin = network.get("_name_or_path")  # what its configuration says that it was made from
    for name in (*names, *([str(origin)] if origin else [])):
        word = _word(name)
        if word:
            return f"it is called {name}, with {word} in it"
    return None


def noted(why: str | None) -> list[str]:
    """What a run notes of it."""
    return [] if why is None else [f"the model seems to be distilled to few steps: {why}"]


def _word(name: str) -> str | None:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()  # DreamShaperLCM
    words = [word for word in re.split(r"[^a-z0-9]+", parted) if word in WORDS]
    found = LONG.search(name.lower()) or STEPS.search(name.lower())
    return words[0] if words else found and found.group()
