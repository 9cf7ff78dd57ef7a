"""Every scheduler that is known: its noise path and prediction are those that its own class builds."""

import random

import diffusers
import numpy as np
import pytest
import torch

from trainedon.errors import UserError
from trainedon.targets import NoisePath
from trainedon.targets.reading.configs import defaults
from trainedon.targets.reading.schedulers import FLOWS, PATH, SCHEDULERS, check_scheduler


def drawn(kind, seed):
    """A random part of a random configuration that the class takes."""
    rng = random.Random(f"{kind} {seed}")
    total = rng.choice([50, 400, 1000])
    config = {
        "num_train_timesteps": total,
        "beta_start": rng.uniform(1e-5, 1e-3),
        "beta_end": rng.uniform(0.01, 0.03),
        "beta_schedule": rng.choice(["linear", "scaled_linear", "squaredcos_cap_v2"]),
        "trained_betas": [rng.uniform(1e-4, 0.02) for _ in range(total)],
        "prediction_type": rng.choice(["epsilon", "v_prediction", "sample"]),
        "rescale_betas_zero_snr": True,
    }
    if rng.random() < 0.7:
        del config["trained_betas"]
    known = defaults(getattr(diffusers, kind))
    return {key: value for key, value in config.items() if key in known and rng.random() < 0.6}


def cases():
    for kind in sorted(SCHEDULERS):
        yield kind, {}
        for seed in range(3 if "KDPM2" not in kind else 1):  # which take a second to make
            yield kind, drawn(kind, seed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind, config", list(cases()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_path_is_that_of_its_class(kind, config):
    if config.get("trained_betas"):
        config = config | {"num_train_timesteps": len(config["trained_betas"])}
    given = dict(config)
    if "trained_betas" in config and kind == "RePaintScheduler":  # which takes no list, though it is saved as one
        given["trained_betas"] = np.array(config["trained_betas"], dtype=np.float32)
    theirs = getattr(diffusers, kind).from_config(given)
    check_scheduler(config, type(theirs), "scheduler_config.json")
    path = NoisePath.from_scheduler(config, kind)
    expected = theirs.alphas_cumprod.clone()
    if config.get("rescale_betas_zero_snr"):
        assert expected[-1] < 1e-6 and path.alphas[-1] == 0
        expected[-1] = 0
    assert torch.equal(path.alphas, expected.double().sqrt().float())


def test_defaults_differ_from_class_to_class():
    first = {kind: NoisePath.from_scheduler({}, kind).sigmas[0].item() ** 2 for kind in SCHEDULERS}
    assert {round(value, 6) for value in first.values()} == {1e-4, 0.00085}
    assert first["LCMScheduler"] == pytest.approx(0.00085, rel=1e-4)
    assert first["PNDMScheduler"] == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_a_schedule_that_only_some_classes_know():
    theirs = diffusers.HeunDiscreteScheduler(beta_schedule="exp").alphas_cumprod
    path = NoisePath.from_scheduler({"beta_schedule": "exp"}, "HeunDiscreteScheduler")
    assert torch.equal(path.alphas, theirs.double().sqrt().float())
    with pytest.raises(UserError, match="noise schedule"):
        NoisePath.from_scheduler({"beta_schedule": "exp"}, "PNDMScheduler")


def test_what_diffusers_does_not_read_is_not_read():
    config = {"beta_end": 0.5, "_use_default_values": ["beta_end"]}
    theirs = diffusers.DDPMScheduler.from_config(config).alphas_cumprod
    assert torch.equal(NoisePath.from_scheduler(config).alphas, theirs.double().sqrt().float())


SAMPLING = {"clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1}
SAMPLING |= {"timestep_spacing": "trailing", "use_karras_sigmas": True, "final_sigmas_type": "zero", "solver_order": 3}
HUB = {
    "Stable Diffusion 1.5": ("PNDMScheduler", SAMPLING | {"trained_betas": None, "rescale_betas_zero_snr": False}),
    "SDXL": ("EulerDiscreteScheduler", SAMPLING | {"interpolation_type": "linear", "sample_max_value": 1.0}),
    "google/ddpm-cifar10-32": ("DDPMScheduler", {"variance_type": "fixed_large", "clip_sample": True}),
    "of 2022": ("DDPMScheduler", {"tensor_format": "pt", "timestep_values": None, "predict_epsilon": True}),
    "facebook/DiT-XL-2-256": ("DDIMScheduler", {"set_alpha_to_one": True, "steps_offset": 0, "clip_sample": False}),
    "PixArt": ("DPMSolverMultistepScheduler", SAMPLING | {"lambda_min_clipped": None, "use_lu_lambdas": False}),
    "LCM": ("LCMScheduler", SAMPLING | {"original_inference_steps": 50, "timestep_scaling": 10.0}),
    "SD3": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0, "num_train_timesteps": 1000}),
    "FLUX.1-dev": (
        "FlowMatchEulerDiscreteScheduler",
        {"base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15, "shift": 3.0}
        | {"use_dynamic_shifting": True, "shift_terminal": 0.02, "stochastic_sampling": True},
    ),
}


@pytest.mark.parametrize("kind, config", HUB.values(), ids=HUB)
def test_what_only_samplers_ask_for_has_no_say(kind, config):
    check_scheduler(config | {"_class_name": kind, "_diffusers_version": "0.6.0"}, getattr(diffusers, kind), "here")


@pytest.mark.parametrize("kind", sorted(FLOWS))
def test_flow_matching_that_runs_backwards_is_refused(kind):
    with pytest.raises(UserError, match="invert_sigmas"):
        check_scheduler({"invert_sigmas": True}, getattr(diffusers, kind), "here")


@pytest.mark.parametrize("key", [key for key in PATH if key != "trained_betas"])
def test_odd_values_end_in_one_line(key):
    for value in (None, "many", [1], {}, -1, float("nan")):
        try:
            path = NoisePath.from_scheduler({key: value})
        except UserError as error:
            assert "noise schedule" in str(error) and "\n" not in str(error)
        else:
            assert torch.isfinite(path.alphas).all()
