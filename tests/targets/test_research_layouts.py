"""Networks of our own in the layouts that research code has: opened by one call, with the scores of the usual way."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from torch import nn

import trainedon as to
from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Identity, NoisePath, from_edm, from_guided_diffusion, from_lucidrains
from trainedon.targets.networks.unet import PixelUNet

BETAS = torch.linspace(1e-4, 0.02, 1000)
ALPHA_BARS = (1 - BETAS).cumprod(0)
LEVELS = ((1 - ALPHA_BARS) / ALPHA_BARS).sqrt()


def make_unet(**changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.unconditional(**changes)


def usual(unet, prediction="epsilon", classes=None):
    path, identity = NoisePath.from_scheduler({}), Identity("usual", "0" * 64, "pixel UNet2DModel", 0)
    return PixelUNet(identity, (3, 8, 8), path, prediction, classes=classes, network=unet)


def check_alike(target, other, batch, specs=("loss", "pia", "drc-fast")):
    for spec in specs:
        (attack,) = parse_attacks(spec)
        np.testing.assert_allclose(
            attack.score(target, batch), attack.score(other, batch), rtol=3e-4, atol=2e-6, err_msg=spec
        )


class Lucid(nn.Module):
    """Called as lucidrains' Unet: time as int64 indices, and a state of its own that may be left out."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, x, time, x_self_cond=None):
        assert time.dtype == torch.int64 and x_self_cond is None
        return self.unet(x, time).sample


class GaussianDiffusion(nn.Module):
    """What of that class is read."""

    def __init__(self, model, objective="pred_noise", image_size=8, auto_normalize=True):
        super().__init__()
        self.model, self.objective, self.image_size, self.channels = model, objective, image_size, 3
        self.register_buffer("betas", BETAS)
        self.normalize = (lambda x: x * 2 - 1) if auto_normalize else (lambda x: x)


@pytest.mark.parametrize(
    ("objective", "prediction"), [("pred_noise", "epsilon"), ("pred_x0", "sample"), ("pred_v", "v_prediction")]
)
def test_lucidrains(objective, prediction, batch_of):
    unet = make_unet()
    for size in (8, (8, 8)):
        target = from_lucidrains(GaussianDiffusion(Lucid(unet), objective, size))
        assert target.picture == (3, 8, 8) and target.prediction == prediction
    check_alike(target, usual(unet, prediction), batch_of(3, size=8))


def test_lucidrains_with_a_learned_variance(batch_of):
    unet = make_unet(out_channels=6)
    model = Lucid(unet)
    model.out_dim = 6
    target = from_lucidrains(GaussianDiffusion(model))
    assert target.learned_sigma
    check_alike(target, usual(unet), batch_of(2, size=8), ["loss"])


def test_lucidrains_without_its_own_range(batch_of):
    unet = make_unet()
    diffusion = GaussianDiffusion(Lucid(unet), auto_normalize=False)
    with pytest.raises(UserError, match=r"auto_normalize is off.* say in what range, with pixels"):
        from_lucidrains(diffusion)
    batch = batch_of(3, size=8)
    (attack,) = parse_attacks("loss")
    check_alike(from_lucidrains(diffusion, pixels=(-1, 1)), usual(unet), batch)
    assert not np.allclose(
        attack.score(from_lucidrains(diffusion, pixels=(0, 1)), batch), attack.score(usual(unet), batch), rtol=1e-3
    )


class UNetModel(nn.Module):
    """Called as guided-diffusion's: y by name, and the variance behind the noise."""

    def __init__(self, unet, num_classes=None):
        super().__init__()
        self.unet, self.num_classes = unet, num_classes
        self.image_size, self.in_channels, self.out_channels = 8, 3, 6

    def forward(self, x, timesteps, y=None):
        assert (y is not None) == (self.num_classes is not None)
        return self.unet(x, timesteps, class_labels=y).sample


def spaced(**changes):
    told = {
        "betas": BETAS.double().numpy(),
        "model_mean_type": SimpleNamespace(name="EPSILON"),
        "timestep_map": list(range(1000)),
        "rescale_timesteps": False,
        "original_num_steps": 1000,
    }
    return SimpleNamespace(**told | changes)


@pytest.mark.parametrize("classes", [None, 3])
def test_guided_diffusion(classes, batch_of):
    unet = make_unet(out_channels=6, num_class_embeds=classes)
    target = from_guided_diffusion(UNetModel(unet, classes), spaced())
    assert target.learned_sigma and target.classes == classes and target.identity.name == "UNetModel"
    plain = batch_of(3, size=8)
    batch = Batch(plain.pixels, plain.sha256, torch.tensor([2, 0, 1]))
    check_alike(target, usual(unet, classes=classes), batch)
    assert target.identity.own_code.hashed


def test_guided_diffusion_with_steps_left_out_and_times_rescaled(batch_of):
    """250 steps of a process of 500, told in thousandths."""
    kept = torch.arange(1, 1000, 4)
    bars = ALPHA_BARS.double()[kept]
    betas = 1 - bars / torch.cat([torch.ones(1, dtype=torch.float64), bars[:-1]])
    diffusion = spaced(
        betas=betas.numpy(), timestep_map=[*range(1, 500, 2)], rescale_timesteps=True, original_num_steps=500
    )
    target = from_guided_diffusion(UNetModel(make_unet(out_channels=6)), diffusion)
    assert target.noise.numbers.tolist() == [2.0 * step for step in range(1, 500, 2)] and target.timesteps == 250
    torch.testing.assert_close(target.path.alphas.square(), bars.float(), rtol=1e-4, atol=1e-6)
    with pytest.raises(UserError, match="model_mean_type PREVIOUS_X is not supported: one of EPSILON, START_X"):
        from_guided_diffusion(UNetModel(make_unet(out_channels=6)), spaced(model_mean_type="PREVIOUS_X"))


class Precond(nn.Module):
    """The preconditioning of DDPM as EDM writes it (arXiv 2206.00364, table 1), around a network of diffusers."""

    def __init__(self, unet, label_dim=0, **own):
        super().__init__()
        self.unet, self.img_resolution, self.img_channels, self.label_dim = unet, 8, 3, label_dim
        self.sigma_min, self.sigma_max = 0.0, float("inf")
        vars(self).update(own)

    def forward(self, x, sigma, class_labels=None):
        level = sigma.to(torch.float32).reshape(-1, 1, 1, 1)
        labels = None
        if self.label_dim:
            assert class_labels.shape == (len(x), self.label_dim) and class_labels.dtype == torch.float32
            labels = class_labels.argmax(1)
        steps = (LEVELS.double() - sigma.double().reshape(-1, 1)).abs().argmin(1)
        return x - level * self.unet(x / (level**2 + 1).sqrt(), steps, class_labels=labels).sample


@pytest.mark.parametrize("classes", [0, 3])
def test_edm(classes, batch_of):
    unet = make_unet(num_class_embeds=classes or None)
    plain = batch_of(3, size=8)
    batch = Batch(plain.pixels, plain.sha256, torch.tensor([2, 0, 1]))
    # as iDDPM has them: falling, with 0 at the end
    own = from_edm(Precond(unet, classes, u=torch.cat([LEVELS.flip(0), torch.zeros(1)])))
    check_alike(own, usual(unet, classes=classes or None), batch)
    target = from_edm(Precond(unet, classes))
    levels = target.noise.native.sigmas
    assert levels[0] == pytest.approx(0.002) and levels[-1] == pytest.approx(80) and target.classes == (classes or None)
    narrow = from_edm(Precond(unet, classes, sigma_min=0.02, sigma_max=50.0)).noise.native.sigmas
    assert narrow[0] == pytest.approx(0.02) and narrow[-1] == pytest.approx(50)
    assert own.identity.own_code.hashed and own.identity.name == "Precond"


@pytest.mark.parametrize("kind", [from_lucidrains, from_edm, lambda model: from_guided_diffusion(model, spaced())])
def test_another_object_is_refused_by_what_it_lacks(kind):
    with pytest.raises(UserError, match=r"a Linear is no \w+ .*: it has no \w+; tell Target.of how it was trained"):
        kind(nn.Linear(2, 2))
    assert to.from_edm is from_edm and to.from_lucidrains is from_lucidrains
