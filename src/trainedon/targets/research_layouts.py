"""Networks in the layouts of research code, each opened by one call: what `Target.of` must be told stands in them.

Each takes objects that the user's own code has built and filled with weights; nothing of these packages is imported,
and no checkpoint is opened. `how` is passed on to `Target.of`, and goes before what the object says.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.targets.core.own_noise import edm_levels
from trainedon.targets.core.target import Target

LOWEST, HIGHEST = 0.002, 80.0  # noise levels of arXiv 2206.00364 where a network names none of its own
OBJECTIVES = {"pred_noise": "epsilon", "pred_x0": "sample", "pred_v": "v_prediction"}
MEANS = {"EPSILON": "epsilon", "START_X": "sample"}


def from_lucidrains(diffusion: Any, **how: Any) -> Target:
    """lucidrains' denoising-diffusion-pytorch: a `GaussianDiffusion`, with the network that is to be audited in it (for
    its moving average, the copy that the trainer keeps).

    Read are `model`, and its `out_dim`, `betas`, `objective`, `image_size`, `channels` and `normalize`. A network that
    is conditioned on its own last guess is asked without one. Raises UserError for another object.
    """
    kind = "GaussianDiffusion of denoising-diffusion-pytorch"
    model, betas, objective, size = (
        _of(diffusion, name, kind) for name in ("model", "betas", "objective", "image_size")
    )
    if objective not in OBJECTIVES:
        raise UserError(f"objective {objective!r} is not known: one of {', '.join(OBJECTIVES)} is needed")
    side = tuple(size) if isinstance(size, tuple | list) else (size, size)
    channels = _of(diffusion, "channels", kind)
    told: dict[str, Any] = {
        "betas": betas,
        "prediction": OBJECTIVES[objective],
        "shape": (channels, *side),
        "learned_sigma": getattr(model, "out_dim", None) == 2 * channels,
    }
    if not _normalises(diffusion) and "pixels" not in how:
        raise UserError(
            "auto_normalize is off, so that the network saw pictures as your data gave them: say in what range, with "
            "pixels=(0, 1) or (-1, 1)"
        )
    return Target.of(model, **told | how)


def _normalises(diffusion: Any) -> bool:
    """Whether pictures in [0, 1] are brought to [-1, 1]. Old versions always do, by a function of their module."""
    normalize = getattr(diffusion, "normalize", None)
    if not callable(normalize):
        return True
    return bool((torch.as_tensor(normalize(torch.zeros(1))) == -1).all())


def from_guided_diffusion(model: nn.Module, diffusion: Any, **how: Any) -> Target:
    """OpenAI's guided-diffusion and improved-diffusion: what `create_model_and_diffusion` returns.

    Of the model `image_size`, `in_channels`, `out_channels` and `num_classes` are read, of the diffusion `betas`,
    `model_mean_type`, `timestep_map` (of a respaced one), `rescale_timesteps` and `original_num_steps`. A learned
    variance is left out. Raises UserError for other objects, and for a network that predicts the previous step.
    """
    kinds = ("UNetModel of guided-diffusion", "diffusion of guided-diffusion")
    size, channels, answered = (_of(model, name, kinds[0]) for name in ("image_size", "in_channels", "out_channels"))
    betas, mean = (_of(diffusion, name, kinds[1]) for name in ("betas", "model_mean_type"))
    if getattr(mean, "name", mean) not in MEANS:
        raise UserError(f"model_mean_type {mean} is not supported: one of {', '.join(MEANS)} is needed")
    steps = torch.as_tensor(getattr(diffusion, "timestep_map", range(len(betas))))
    total = getattr(diffusion, "original_num_steps", len(betas))
    times = steps * (1000.0 / total) if getattr(diffusion, "rescale_timesteps", False) else steps
    classes = getattr(model, "num_classes", None)

    def labelled(x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = model(x_t, t, y=labels)
        return answer

    told: dict[str, Any] = {
        "betas": torch.as_tensor(betas),
        "times": times,
        "prediction": MEANS[getattr(mean, "name", mean)],
        "shape": (channels, size, size),
        "learned_sigma": answered == 2 * channels,
        "classes": classes,
    }
    return _named(model, model if classes is None else labelled, told | how)


def from_edm(net: nn.Module, **how: Any) -> Target:
    """NVlabs' EDM: a network in its preconditioning (`EDMPrecond`, `VPPrecond`, `VEPrecond`, `iDDPMPrecond`), which is
    called with `x + sigma eps` and sigma and answers the clean picture.

    Read are `img_resolution`, `img_channels`, `label_dim`, `sigma_min` and `sigma_max`, and of iDDPM its own levels
    `u`. Their pickles hold code, which is never opened here: build the network with EDM's code, and load its tensors.
    """
    kind = "preconditioned network of EDM"
    size, channels = (_of(net, name, kind) for name in ("img_resolution", "img_channels"))
    lowest, highest = max(float(net.sigma_min), LOWEST), min(float(net.sigma_max), HIGHEST)  # type: ignore[arg-type]
    own = getattr(net, "u", None)
    levels = edm_levels(lowest, highest) if own is None else own[own > 0].flip(0)
    classes = int(getattr(net, "label_dim", 0) or 0)

    def labelled(x_t: torch.Tensor, sigma: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = net(x_t, sigma, nn.functional.one_hot(labels, classes).float())
        return answer

    told: dict[str, Any] = {
        "sigmas": levels,
        "prediction": "sample",
        "shape": (channels, size, size),
        "classes": classes or None,
    }
    return _named(net, labelled if classes else net, told | how)


def _named(model: nn.Module, network: Any, told: dict[str, Any]) -> Target:
    """The target of a function around a module, whose weights, name and device are the module's."""
    if network is not model:
        model.eval()
        place = next((one.device for one in model.parameters()), None)
        told = {"weights": model, "name": type(model).__name__, "device": place} | told
    return Target.of(network, **told)


def _of(thing: Any, name: str, kind: str) -> Any:
    found = getattr(thing, name, None)
    if found is None:
        raise UserError(f"a {type(thing).__name__} is no {kind}: it has no {name}; tell Target.of how it was trained")
    return found
