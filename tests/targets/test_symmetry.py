"""The model in a mirror: moved in, moved back, counted with the model itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from slowly import slowly

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.targets import SYMMETRIES, TRANSFORMATIONS, Symmetric, load_target, named_symmetries


@pytest.fixture(scope="module")
def target(target_folders):
    return load_target(target_folders["epsilon"])


@pytest.fixture
def pixels(target):
    return torch.rand(3, *target.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


EXACT = [name for name, one in TRANSFORMATIONS.items() if one.back is not None]


@pytest.mark.parametrize("name", EXACT)
def test_what_goes_in_is_moved_and_what_comes_out_moved_back(target, pixels, name):
    move, back, view = TRANSFORMATIONS[name].move, TRANSFORMATIONS[name].back, Symmetric.of(target, name)
    assert torch.equal(back(move(pixels)), pixels) and not torch.equal(move(pixels), pixels)
    with torch.no_grad(), target.counted() as spent:
        there, here = view.denoise(pixels, 100), target.denoise(move(pixels), 100)
    torch.testing.assert_close(there.noise, back(here.noise), rtol=0, atol=0)  # -0 is 0
    torch.testing.assert_close(there.clean, back(here.clean), rtol=0, atol=1e-6)
    assert not torch.equal(there.noise, target.denoise(pixels, 100).noise)
    assert spent.forward == 6
    places = (lambda found: found) if TRANSFORMATIONS[name].kind == "levels" else back
    assert torch.equal(view.features(pixels, 100), places(target.features(move(pixels), 100)))
    assert torch.equal(view.attention(pixels, 100), places(target.attention(move(pixels), 100)))
    times = torch.full((3,), 100)
    norms = view.gradient_norms(pixels, times, pixels.flip(0))
    assert torch.equal(norms, target.gradient_norms(move(pixels), times, move(pixels.flip(0))))


@pytest.mark.parametrize("height", [16, 15])
def test_places_go_where_the_name_says(height):
    pixels = torch.rand(2, 3, height, 16, generator=torch.Generator().manual_seed(1))
    turned = TRANSFORMATIONS["quarter-turn"].move(pixels)
    assert torch.equal(turned[..., -1, 0], pixels[..., 0, 0])  # the upper left corner comes to lie below
    swapped = TRANSFORMATIONS["quarters"].move(pixels)
    assert torch.equal(swapped[..., height // 2, 8], pixels[..., 0, 0])
    assert torch.equal(TRANSFORMATIONS["quarters"].back(swapped), pixels)
    assert torch.equal(TRANSFORMATIONS["negative"].move(pixels), -pixels)
    assert torch.equal(TRANSFORMATIONS["red-blue"].move(pixels)[:, 0], pixels[:, 2])


@pytest.mark.parametrize(("height", "width"), [(65, 65), (65, 97)])
def test_interpolated_views_move_places_by_their_angle(height, width):
    """A spot right of the middle, turned by 8 degrees about it or moved to the side by .15 of its height above it."""
    spot = torch.zeros(1, 1, height, width)
    y, x = height // 2 - 20, width // 2 + 10  # 20 above the middle, 10 to its right
    spot[..., y - 1 : y + 2, x - 1 : x + 2] = 1
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def middle(found):
        weight = found[0, 0] / found.sum()
        return (weight * columns).sum() - width // 2, height // 2 - (weight * rows).sum()

    right, up = middle(TRANSFORMATIONS["rotate"].move(spot))
    cos, sin = math.cos(math.radians(8)), math.sin(math.radians(8))
    turned = [(10 * cos - 20 * sin * way, 20 * cos + 10 * sin * way) for way in (1, -1)]
    assert min(abs(right - a) + abs(up - b) for a, b in turned) < 0.1
    right, up = middle(TRANSFORMATIONS["shear"].move(spot))
    assert up == pytest.approx(20, abs=0.05) and abs(right - 10) == pytest.approx(0.15 * 20, abs=0.05)


def test_which_views_move_noise_along(target, target_folders):
    latents = load_target(target_folders["latent, KL"])
    exact = {name: (one.conjugates(target), one.conjugates(latents)) for name, one in TRANSFORMATIONS.items()}
    of_places = dict.fromkeys((*SYMMETRIES, "quarter-turn", "quarters"), (True, True))
    of_levels = dict.fromkeys(("negative", "red-blue"), (True, False))
    assert exact == of_places | of_levels | dict.fromkeys(("rotate", "shear"), (False, False))


@pytest.mark.parametrize("kind", ["epsilon", "latent, KL"])
@pytest.mark.parametrize("name", [name for name in TRANSFORMATIONS if name not in SYMMETRIES])
def test_a_view_is_scored_as_its_definition_says(target_folders, kind, name):
    """By hand: the mean log error of both, with the noise of the picture, moved along where that is exact."""
    target, view = load_target(target_folders[kind]), TRANSFORMATIONS[name]
    batch = Batch.of(torch.rand(3, *target.picture, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    (attack,) = parse_attacks(f"drc@1(degradation=diffuse:100, restorations=1, symmetries={name})")
    eps = NoiseStream(batch.sha256, [0] * 3, target.shape, seed=0, device="cpu").next()
    t, scores = target.path.like_ddpm(100), []
    for pixels, noise in (
        (batch.pixels, eps),
        (view.move(batch.pixels), view.move(eps) if exact(view, target) else eps),
    ):
        x0 = target.encode(pixels)
        with torch.no_grad():
            clean = target.bounded(target.denoise(target.noised(x0, t, noise), t).clean)
        scores.append(-(clean - x0).double().square().mean((1, 2, 3)).log())
    assert attack.score(target, batch) == pytest.approx((scores[0] - scores[1]).numpy(), abs=1e-5)


def exact(view, target):
    return view.kind == "places" or (view.kind == "levels" and not target.latent)


def test_a_view_that_pictures_do_not_have_is_refused_before_anything_is_evaluated(target, target_folders):
    grey = load_target(target_folders["grey"])
    wide = replace(target, shape=(3, 16, 32))
    for spec in ("drc@1(symmetries={})", "symmetric(loss, symmetries={})"):
        (turned,), (swapped,) = (parse_attacks(spec.format(name)) for name in ("quarter-turn", "red-blue"))
        with pytest.raises(UserError, match="quarter-turn is for square pictures, and the model takes 32 x 16"):
            turned.check(wide)
        with pytest.raises(UserError, match="red-blue is for pictures in colour"):
            swapped.check(grey)
        turned.check(target), swapped.check(target)


def test_a_picture_that_no_view_changes_has_no_score(target):
    batch = Batch.of(torch.rand(1, 1, 16, 16).expand(2, 3, 16, 16).contiguous() - 0.5)  # grey
    (attack,) = parse_attacks("drc@1(degradation=diffuse:100, restorations=1, symmetries=red-blue)")
    assert not np.isfinite(attack.score(target, batch)).any() and "the same in every view" in attack.unscored
    assert attack.null_view == "red-blue"
    (turned,) = parse_attacks("drc@1(symmetries=quarter-turn)")
    assert turned.null_view is None, "it does not undo itself"


def test_a_hidden_region_is_moved_with_the_picture():
    region = torch.zeros(1, 16, 16, dtype=torch.bool)
    region[0, 2, 3] = True
    assert all(one.of_region(region).any() for one in TRANSFORMATIONS.values())
    assert torch.equal(TRANSFORMATIONS["mirror"].of_region(region), region.flip(-1))
    assert torch.equal(TRANSFORMATIONS["negative"].of_region(region), region)


def test_the_views_have_names_and_stores_of_their_own(target):
    one, other = Symmetric.of(target, "mirror"), Symmetric.of(target, "half-turn")
    assert len({view.identity.digest for view in (target, one, other)}) == 3
    # samples lie on the disk under the first 16 characters, answers in memory under 40
    stranger = replace(target, identity=replace(target.identity, digest="f" * 64))
    assert Symmetric.of(stranger, "mirror").identity.digest[:16] != one.identity.digest[:16]
    one.kept["samples"] = 1
    assert "samples" not in target.kept and "samples" not in other.kept
    assert Symmetric.of(target, "mirror").kept["samples"] == 1


def test_what_two_symmetries_undo_or_make_together_is_one_model(target, pixels):
    for name in EXACT:
        twice = Symmetric.of(Symmetric.of(target, name), name)
        assert (twice is target) == (name not in ("quarter-turn", "quarters"))
        both = Symmetric.of(Symmetric.of(target, name), "negative")
        there = TRANSFORMATIONS[name].move(-pixels)
        expected = -TRANSFORMATIONS[name].back(target.denoise(there, 100).noise)
        torch.testing.assert_close(both.denoise(pixels, 100).noise, expected, rtol=0, atol=1e-6)
    mirror = Symmetric.of(target, "mirror")
    assert Symmetric.of(mirror, "mirror") is target
    assert Symmetric.of(mirror, "upside-down").identity == Symmetric.of(target, "half-turn").identity
    assert (
        Symmetric.of(Symmetric.of(target, "half-turn"), "mirror").identity
        == Symmetric.of(target, "upside-down").identity
    )


@pytest.mark.parametrize("spec", ["loss", "pia", "drc-hide(steps=2, restorations=1)", *slowly("pfami")])
def test_shared_answers_are_not_those_of_the_model_itself(target, pixels, spec):
    """While answers are shared, the model in the mirror is asked anew, and the score is the same as without."""
    (attack,) = parse_attacks(f"symmetric({spec}, symmetries=mirror)")
    alone = attack.score(target, pixels)
    with target.sharing():
        assert (attack.attack.score(target, pixels) != 0).all()
        assert (attack.score(target, pixels) == alone).all()
    (host,) = parse_attacks(spec)
    there = host.score(Symmetric.of(target, "mirror"), Batch.of(pixels))
    assert alone == pytest.approx(host.score(target, pixels) - there, abs=1e-12)


def test_names():
    assert named_symmetries(["all"]) == tuple(SYMMETRIES) and named_symmetries([]) == ()
    assert named_symmetries(["mirror", "half-turn"]) == ("mirror", "half-turn")
    twice = "mirror stands there twice, name it once"
    for wrong, says in (
        (["sideways"], "choose from mirror"),
        (["mirror", "mirror"], twice),
        (["all", "mirror"], "all"),
    ):
        with pytest.raises(UserError, match=says):
            named_symmetries(wrong)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [("symmetric(pia, symmetries=none)", "name at least one"), ("symmetric(quantile)", "leave it out")],
)
def test_what_has_no_mirror_is_refused(spec, problem):
    with pytest.raises(UserError, match=problem):
        parse_attacks(spec)
