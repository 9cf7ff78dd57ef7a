"""What the network says of a noisy picture, against the definition and against diffusers."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from slowly import slowly

from trainedon.condition import Classes
from trainedon.targets import load_target

SCHEDULES = {
    "linear": {},
    "scaled linear": {"beta_schedule": "scaled_linear"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "zero terminal SNR": {"rescale_betas_zero_snr": True},
}


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_noise_and_clean_picture_agree_with_algebra_and_diffusers(saved, noisy, schedule, prediction):
    scheduler = schedule | {"prediction_type": prediction}
    target = load_target(saved(scheduler=scheduler))
    assert target.prediction == prediction and target.timesteps == 1000 and target.shape == (3, 8, 8)
    reference = DDPMScheduler(**scheduler, clip_sample=False)
    for t in (0, 37, 500, 950):
        noise, clean = target.denoise(noisy, t)
        alpha, sigma = reference.alphas_cumprod[t].sqrt(), (1 - reference.alphas_cumprod[t]).sqrt()
        torch.testing.assert_close(alpha * clean + sigma * noise, noisy, rtol=1e-4, atol=1e-4)
        answer = target.network(noisy, t).sample
        theirs = reference.step(answer, t, noisy, generator=torch.Generator()).pred_original_sample
        torch.testing.assert_close(clean, theirs, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_terminal_step_of_zero_snr_stays_finite(saved, noisy, prediction):
    target = load_target(saved(scheduler={"rescale_betas_zero_snr": True, "prediction_type": prediction}))
    noise, clean = target.denoise(noisy, 999)
    assert torch.isfinite(noise).all() and torch.isfinite(clean).all()
    answer = target.predict(noisy, torch.full((11,), 999), None)
    if prediction == "sample":
        torch.testing.assert_close(clean, answer, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(noise, noisy)
    if prediction == "v_prediction":  # nothing but noise comes in, so v is minus the picture
        torch.testing.assert_close(clean, -answer, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(noise, noisy)


def test_noise_added_is_noise_found(saved, noisy):
    """`noised` and `denoise` speak of the same path: a network that answers the true noise gives the picture back."""
    target = load_target(saved())
    pictures, noise = noisy.clamp(-1, 1), noisy.flip(0)
    t = torch.arange(11) * 90
    x_t = target.noised(pictures, t, noise)
    ddpm = DDPMScheduler()
    torch.testing.assert_close(x_t, ddpm.add_noise(pictures, noise, t))
    assert torch.equal(target.noised(pictures, -1, noise), pictures)
    alpha, sigma = target.path.at(t, x_t)
    torch.testing.assert_close((x_t - sigma * noise) / alpha, pictures, rtol=1e-3, atol=1e-3)


def test_one_timestep_a_row(saved, noisy):
    target = load_target(saved())
    t = torch.arange(11) * 90
    together = target.denoise(noisy, t)
    for i in range(11):
        alone = target.denoise(noisy[i : i + 1], int(t[i]))
        assert torch.equal(alone.noise[0], together.noise[i]) and torch.equal(alone.clean[0], together.clean[i])


def test_labels_reach_a_class_conditional_network(saved, noisy):
    target = load_target(saved({"num_class_embeds": 3}))
    assert target.classes == 3 and "class-conditional" in target.identity.family
    labels = torch.arange(11) % 3
    noise, _ = target.denoise(noisy, 300, Classes(labels))
    expected = target.network(noisy, 300, class_labels=labels).sample
    torch.testing.assert_close(noise, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(noise, target.denoise(noisy, 300, Classes((labels + 1) % 3)).noise)
    target.batching.rows = 8
    assert torch.equal(target.denoise(noisy, 300, Classes(labels)).noise, noise)


def test_a_learned_variance_is_left_out(saved, noisy):
    target = load_target(saved({"out_channels": 6}, {"variance_type": "learned_range"}))
    noise, clean = target.denoise(noisy, 200)
    assert target.shape == (3, 8, 8) and noise.shape == clean.shape == noisy.shape
    torch.testing.assert_close(noise, target.network(noisy, 200).sample[:, :3], rtol=1e-4, atol=1e-5)
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(1000)
    theirs = scheduler.step(noise, 200, noisy).pred_original_sample
    torch.testing.assert_close(clean, theirs, rtol=1e-3, atol=1e-4)


def test_a_grey_model(saved, noisy):
    target = load_target(saved({"in_channels": 1, "out_channels": 1}))
    assert target.shape == (1, 8, 8)
    assert target.denoise(noisy[:, :1], 200).clean.shape == (11, 1, 8, 8)


def test_a_picture_that_is_not_square(saved):
    target = load_target(saved({"sample_size": (8, 16)}))
    assert target.shape == (3, 8, 16)
    assert target.denoise(torch.zeros(2, 3, 8, 16), 9).clean.shape == (2, 3, 8, 16)


def test_evaluations_are_counted_in_pictures(saved, noisy):
    target = load_target(saved(), rows=8)
    with target.counted() as outer:
        target.denoise(noisy, 10)
        with target.counted() as inner:
            target.denoise(noisy[:1], 10)
            target.features(noisy, 10)
            target.attention(noisy[:4], 10)
    assert (inner.forward, inner.backward) == (1 + 11 + 4, 0)
    assert (outer.forward, outer.backward) == (11 + 1 + 11 + 4, 0)


ATTENTION_FREE = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
NETWORKS = {
    "attention": {},
    "no attention": ATTENTION_FREE | {"add_attention": False},
    "16 x 16, wider": {"sample_size": 16, "block_out_channels": (16, 32)},
}


def _answers(target, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Everything that an attack can ask of each picture."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_(True)
        noise, clean = target.denoise(x, 300)
        (gradient,) = torch.autograd.grad((clean.tanh() * noise).sum(), x)
    looks = {"features": target.features(x.detach(), 50), "attention": target.attention(x.detach(), 50)}
    answers = {"noise": noise.detach(), "clean": clean.detach(), "gradient": gradient} | looks
    return {name: answer for name, answer in answers.items() if answer is not None}


@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("size", [13, *slowly(1, 5, 8)])
def test_answers_do_not_depend_on_batch_size_order_or_neighbours(saved, changes, size):
    """To the bit: scores of one picture must not move with what happens to be audited beside it."""
    target = load_target(saved(changes))
    h, w = target.shape[1:]
    x = torch.randn(27, 3, h, w, generator=torch.Generator().manual_seed(6))
    whole = _answers(target, x)
    assert "attention" in whole or changes.get("add_attention") is False
    target.batching.rows = size
    parts = _answers(target, x)
    target.batching.rows = 64
    order = [11, 0, 26, 5, 13][:size]
    some = _answers(target, x[order])
    crowd = torch.cat([3 * x[:size].flip(0), x[order], -x[:2]])
    among = _answers(target, crowd)
    for name, answer in whole.items():
        assert torch.equal(parts[name], answer), f"{name}: batch size matters"
        assert torch.equal(some[name], answer[order]), f"{name}: order matters"
        inside = slice(size, size + len(order))
        assert torch.equal(among[name][inside], answer[order]), f"{name}: neighbours matter"


def test_two_loads_give_the_same_answers(saved, noisy):
    folder = saved()
    first, second = (load_target(folder).denoise(noisy, 77).clean for _ in range(2))
    assert torch.equal(first, second)
