import numpy as np
import pytest
import torch
from scipy import ndimage

from trainedon.attacks import DRC, parse_attacks
from trainedon.degrade import (
    Blur,
    Center,
    Degradation,
    Diffuse,
    Downsample,
    Fade,
    Hide,
    Mosaic,
    Noise,
)
from trainedon.errors import UserError
from trainedon.spec import spelled
from trainedon.targets import NoisePath

ALL = [Hide(), Noise(0.5), Blur(2.0), Downsample(4), Downsample(5), Mosaic(4), Mosaic(5)]


@pytest.mark.parametrize("degradation", ALL, ids=repr)
def test_kept_part_is_bit_exact_and_hidden_part_changes(degradation, batch_of):
    batch = batch_of(5)
    mask = Center(0.4).mask(batch)
    degraded = degradation(batch, mask)
    kept = ~mask.unsqueeze(1).expand_as(degraded)
    assert degraded.dtype == torch.float32 and degraded.abs().max() <= 1
    assert torch.equal(degraded[kept], batch.pixels[kept])
    assert (degraded[~kept] != batch.pixels[~kept]).float().mean() > 0.9
    assert torch.equal(torch.cat([degradation(batch[i : i + 1], mask[i : i + 1]) for i in range(5)]), degraded)


def test_hiding_gives_nothing_away(batch_of):
    batch = batch_of(3)
    mask = Center(0.4).mask(batch)
    assert (Hide()(batch, mask)[mask.unsqueeze(1).expand_as(batch.pixels)] == 0).all()
    assert not Hide.reveals and all(kind.reveals for kind in (Noise, Blur, Downsample))


def test_noise_has_its_sigma_and_depends_on_digest_and_seed(batch_of):
    batch = batch_of(4, size=64)
    grey = type(batch)(torch.zeros_like(batch.pixels), batch.sha256)
    everything = torch.ones(4, 64, 64, dtype=torch.bool)
    noise = Noise(0.1)(grey, everything)
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(Noise(0.1)(grey, everything), noise)
    assert not torch.equal(Noise(0.1)(grey, everything, seed=1), noise)


def test_diffusing_leaves_the_noise_to_the_restorer_and_says_where_it_starts(batch_of):
    batch = batch_of(3)
    mask = Center(0.4).mask(batch)
    given = Diffuse(200)(batch, mask)
    assert torch.equal(given, batch.pixels)
    usual, cosine = NoisePath.from_scheduler({}), NoisePath.from_scheduler({"beta_schedule": "squaredcos_cap_v2"})
    assert round(Diffuse(200).start(usual) * 1000) - 1 == 200
    t = round(Diffuse(200).start(cosine) * 1000) - 1
    wanted = float(usual.alphas[200] / usual.sigmas[200])
    assert float(cosine.alphas[t] / cosine.sigmas[t]) == pytest.approx(wanted, rel=0.01)
    assert Hide().start(usual) == 1.0 and Blur(2.0).start(usual) == 0.5


def test_blur_agrees_with_scipy(batch_of):
    batch = batch_of(2)
    everything = torch.ones(2, 16, 16, dtype=torch.bool)
    expected = ndimage.gaussian_filter(batch.pixels.numpy(), (0, 0, 1.5, 1.5), mode="nearest", radius=(0, 0, 5, 5))
    np.testing.assert_allclose(Blur(1.5)(batch, everything).numpy(), expected, atol=1e-5)


def test_downsample_takes_the_mean_of_blocks_also_at_the_edge(batch_of):
    batch = batch_of(1)
    degraded = Downsample(5)(batch, torch.ones(1, 16, 16, dtype=torch.bool))
    torch.testing.assert_close(
        degraded[0, :, 5:10, 0:5], batch.pixels[0, :, 5:10, 0:5].mean((1, 2), True).expand(3, 5, 5)
    )
    torch.testing.assert_close(degraded[0, :, 15, 15], batch.pixels[0, :, 15, 15])


@pytest.mark.parametrize(
    ("text", "degradation"),
    [
        ("hide", Hide()),
        ("diffuse:200", Diffuse(200)),
        ("noise:0.5", Noise(0.5)),
        ("blur:2", Blur(2.0)),
        ("downsample:4", Downsample(4)),
        ("downsample(factor=4)", Downsample(4)),
    ],
)
def test_parse(text, degradation):
    assert Degradation.parse(text) == degradation


@pytest.mark.parametrize("text", ["", "sharpen:2", "50", "Hide"])
def test_parse_lists_the_choices(text):
    with pytest.raises(UserError, match=r"unknown degradation .*choose from blur:SIGMA, diffuse:T, .*noise:SIGMA"):
        Degradation.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hide:1", "hide has no parameter '1'"),
        ("noise", "noise: sigma is missing: write noise:SIGMA"),
        ("noise:x", "noise: sigma takes a number, not 'x'"),
        ("blur:", "blur: sigma takes a number, not ''"),
        ("downsample:2.5", "downsample: factor takes a whole number"),
        ("diffuse:0.5", "diffuse: t takes a whole number"),
        ("noise:nan", "noise: sigma takes a number, not 'nan'"),
        ("blur:-1", "blur:-1.0 is not possible"),
        ("noise:0", "noise:0.0 is not possible"),
        ("diffuse:0", "diffuse:0 is not possible"),
        ("fade:1000", "fade:1000 is not possible"),
        ("downsample:1", "downsample:1 is not possible"),
    ],
)
def test_parse_says_what_is_wrong(text, message):
    with pytest.raises(UserError, match=message):
        Degradation.parse(text)


def test_several_degradations():
    assert DRC(degradation="hide").degradation == DRC(degradation=Hide()).degradation == (Hide(),)
    several = (Diffuse(50), Diffuse(100), Hide(), Blur(2.0))
    assert DRC(degradation="diffuse:50+100+hide+blur:2").degradation == several
    assert spelled(several) == "diffuse:50+100+hide+blur:2.0"
    for text in ("50+100", "diffuse:50+", "hide+50"):
        with pytest.raises(UserError, match="unknown degradation"):
            DRC(degradation=text)


def test_fading_is_diffusing_without_noise(batch_of, target):
    """One step back from `alpha x`: what comes back is off by sigma / alpha times the noise that is seen there."""
    assert Degradation.parse("fade:100") == Fade(100) != Diffuse(100)
    (attack,) = parse_attacks("drc-latent(degradation=fade:100, symmetries=none)")
    batch = batch_of(3)
    (region,) = attack.roi.masks(target, batch)
    with torch.no_grad():
        restored = attack.restoring.restore(target, batch, [region])[:, 0, 0]
        alpha, sigma = target.path.at(100, batch.pixels)
        seen = target.denoise(alpha * batch.pixels, 100).noise
    torch.testing.assert_close(restored, (batch.pixels - sigma / alpha * seen).clamp(-1, 1))
    other = type(batch)(batch.pixels, tuple(reversed(batch.sha256)))
    assert torch.equal(attack.restoring.restore(target, other, [region])[:, 0, 0], restored), (
        "there is no noise to depend on"
    )
    with pytest.raises(UserError, match="restorations=1"):
        parse_attacks("drc-latent(restorations=2)")
