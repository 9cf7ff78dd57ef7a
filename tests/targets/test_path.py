"""The noise path, against diffusers and against its definition."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from trainedon.errors import UserError
from trainedon.targets import NoisePath

CONFIGS = {
    "default": {},
    "scaled linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "zero terminal SNR": {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True},
    "short": {"num_train_timesteps": 50, "beta_end": 0.3},
    "trained": {"num_train_timesteps": 4, "trained_betas": [0.1, 0.2, 0.3, 0.4]},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_path_is_that_of_diffusers(config):
    path = NoisePath.from_scheduler(config)
    expected = DDPMScheduler(**config).alphas_cumprod
    assert len(path) == len(expected) and path.alphas.dtype == path.sigmas.dtype == torch.float32
    torch.testing.assert_close(path.alphas**2, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(path.alphas.double() ** 2 + path.sigmas.double() ** 2, torch.ones(len(path)).double())
    assert (path.alphas.diff() < 0).all() and (path.sigmas.diff() > 0).all()


def test_zero_terminal_snr_ends_in_pure_noise_and_begins_where_it_did():
    plain, rescaled = (
        NoisePath.from_scheduler({"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": zero})
        for zero in (False, True)
    )
    assert plain.alphas[-1] > 0.001
    assert rescaled.alphas[-1] == 0 and rescaled.sigmas[-1] == 1
    torch.testing.assert_close(rescaled.alphas[0], plain.alphas[0])
    ddim = DDIMScheduler(beta_schedule="scaled_linear", rescale_betas_zero_snr=True)
    torch.testing.assert_close(rescaled.alphas**2, ddim.alphas_cumprod, rtol=0, atol=1e-6)


def test_alpha_and_sigma_of_a_batch_and_of_the_clean_picture():
    path = NoisePath.from_scheduler({})
    pictures = torch.zeros(3, 1, 2, 2)
    alpha, sigma = path.at(torch.tensor([-1, 0, 999]), pictures)
    assert alpha.shape == sigma.shape == (3, 1, 1, 1)
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha[1], sigma[1]) == (path.alphas[0], path.sigmas[0])
    assert (alpha[2], sigma[2]) == (path.alphas[999], path.sigmas[999])
    assert path.at(3, pictures)[0].item() == path.alphas[3]


def test_like_ddpm_is_the_identity_on_the_usual_path():
    path = NoisePath.from_scheduler({})
    assert [path.like_ddpm(t) for t in range(1000)] == list(range(1000))


@pytest.mark.parametrize("name", ["scaled linear", "cosine", "zero terminal SNR", "short"])
def test_like_ddpm_finds_the_same_share_of_noise_elsewhere(name):
    usual, path = NoisePath.from_scheduler({}), NoisePath.from_scheduler(CONFIGS[name])
    found = [path.like_ddpm(t) for t in range(0, 1000, 50)]
    assert found == sorted(found) and found[0] < found[-1]
    for t in (100, 200, 500):
        here = path.like_ddpm(t)
        neighbours = path.sigmas[max(here - 1, 0)], path.sigmas[min(here + 1, len(path) - 1)]
        assert neighbours[0] <= usual.sigmas[t] <= neighbours[1]


@pytest.mark.parametrize(
    "config",
    [
        {"beta_schedule": "no such schedule"},
        {"num_train_timesteps": "many"},
        {"num_train_timesteps": -5},
        {"num_train_timesteps": 0},
        {"beta_start": "low"},
        {"trained_betas": [[0.1], [0.2, 0.3]]},
        {"beta_end": float("nan")},
        {"trained_betas": [0.1, float("inf")]},
        {"trained_betas": [0.1, -3.0]},
    ],
    ids=str,
)
def test_a_schedule_that_is_none_is_refused(config):
    with pytest.raises(UserError, match="noise schedule") as caught:
        NoisePath.from_scheduler(config)
    assert "\n" not in str(caught.value)
