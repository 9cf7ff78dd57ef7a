"""Degrade-Restore-Compare where the network works on latents: what is hidden must stay so, what is kept exact."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from slowly import slowly

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run, valid
from trainedon.attacks.drc.drc_hide import DRCHide
from trainedon.degrade import Center
from trainedon.targets import Symmetric, load_target

CAPTIONS = ("a red cat", "two blue birds", "the sea")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("latent")
    return {name: tiny.save(name, root / name) for name in ("stable diffusion", "inpainting", "flux", "latent, VQ")}


@pytest.fixture(scope="module")
def target(folders):
    return load_target(folders["stable diffusion"])


@pytest.fixture
def batch(batch_of):
    return replace(batch_of(3), captions=CAPTIONS)


def behind(batch, region):
    """The batch with other pixels in the region, under the same digests."""
    others = torch.rand(batch.pixels.shape, generator=torch.Generator().manual_seed(9)) * 2 - 1
    return replace(batch, pixels=torch.where(region[:, None], others, batch.pixels))


@pytest.mark.parametrize(
    "restorer", ["guided", "join", "inpaint", *slowly("naive", "pigdm", "ddnm", "twisted:particles=2")]
)
def test_no_restorer_can_tell_what_is_hidden(folders, batch, restorer):
    target = load_target(folders["inpainting" if restorer == "inpaint" else "stable diffusion"])
    attack = DRCHide(restorer=restorer, steps=2)
    batch = valid(target, batch)
    (region,) = attack.roi.masks(target, batch)
    other = behind(batch, region)
    assert not torch.equal(target.encode(batch.pixels), target.encode(other.pixels))
    assert torch.equal(
        attack.restoring.restore(target, batch, [region]), attack.restoring.restore(target, other, [region])
    )


def test_latents_of_the_whole_picture_would_give_it_away(target, batch):
    """Why the kept part is encoded by itself: far from the hidden region, latents still depend on it."""
    region = Center(0.25).mask(batch)
    kept = ~target.onto_states(region)[:, None].expand(3, *target.shape)
    leaked = (target.encode(batch.pixels) - target.encode(behind(batch, region).pixels))[kept].abs()
    assert leaked.max() > 1e-4


def test_kept_pixels_are_exact_in_what_is_shown(target, batch):
    attack = DRCHide(roi="center:0.3+quadrant:2", steps=2)
    for i, exhibit in enumerate(run(attack, target, batch).exhibits):
        for number, hidden in enumerate(("region", "region", "region-2", "region-2"), start=1):
            kept = exhibit.pictures[hidden] < 0
            restored = exhibit.pictures[f"restored-{number}"]
            assert restored.shape == target.picture and restored.abs().max() <= 1
            assert torch.equal(restored[kept], batch.pixels[i][kept])
            assert not torch.equal(restored[~kept], batch.pixels[i][~kept])


def test_encoders_of_pictures_see_pictures_and_those_of_states_see_latents(target, batch):
    for encoder in ("ssim", "own", "pixel", "own+ssim", "pixel+own"):
        attack = DRCHide(encoder=encoder, steps=2)
        with target.counted() as spent:
            scores = attack.score(target, batch)
        assert np.isfinite(scores).all()
        assert spent.forward == 3 * attack.cost(target).forward


def test_a_place_is_hidden_if_any_of_its_pixels_is(target):
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 5, 4:9] = True
    expected = torch.zeros(1, 8, 8, dtype=torch.bool)
    expected[0, 2, 2:5] = True
    assert torch.equal(target.onto_states(mask), expected)


def test_in_a_mirror_the_whole_model_is_mirrored(target, batch):
    """Latents of a mirrored picture are no mirrored latents: the autoencoder belongs to what is seen in the mirror."""
    view = Symmetric.of(target, "mirror")
    states = view.encode(batch.pixels)
    assert torch.equal(states.flip(-1), target.encode(batch.pixels.flip(-1)))
    assert not torch.allclose(states, target.encode(batch.pixels), atol=1e-3)
    torch.testing.assert_close(view.decode(states), target.decode(states.flip(-1)).flip(-1))


def test_a_caption_has_a_say_in_restorations_and_may_be_left_out(target, batch):
    (attack,) = parse_attacks("drc-hide(steps=2)")
    with_words, without = attack.score(target, batch), attack.score(target, replace(batch, captions=None))
    assert (with_words != without).all()
    with target.sharing():  # what is kept for one caption is not given for another
        assert np.array_equal(attack.score(target, batch), with_words)
        assert np.array_equal(attack.score(target, replace(batch, captions=None)), without)


@pytest.mark.parametrize("family", ["stable diffusion", *slowly("flux")])
def test_a_region_may_be_chosen_by_the_words_of_the_caption(folders, batch, family):
    target = load_target(folders[family])
    attack = DRCHide(roi="words:0.3", steps=2)
    batch = valid(target, replace(batch, captions=("a red cat", "the sea", None)))
    (region,) = attack.roi.masks(target, batch)
    (by_eye,) = DRCHide(roi="attention:0.3").roi.masks(target, batch)
    assert (region.flatten(1).sum(1) == round(0.3 * 256)).all()
    assert torch.equal(region[2], by_eye[2]) and not torch.equal(region[0], by_eye[0])
    with target.counted() as spent:
        attack.score(target, batch)
    assert spent.forward == 3 * attack.cost(target).forward
