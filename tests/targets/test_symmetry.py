"""The model in a mirror: moved in, moved back, counted with the model itself."""

from dataclasses import replace

import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import SYMMETRIES, Symmetric, load_target, named_symmetries


@pytest.fixture(scope="module")
def target(target_folders):
    return load_target(target_folders["epsilon"])


@pytest.fixture
def pixels(target):
    return torch.rand(3, *target.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", SYMMETRIES)
def test_a_symmetry_undoes_itself_and_what_goes_in_is_moved(target, pixels, name):
    move, view = SYMMETRIES[name], Symmetric.of(target, name)
    assert torch.equal(move(move(pixels)), pixels) and not torch.equal(move(pixels), pixels)
    with torch.no_grad(), target.counted() as spent:
        there, here = view.denoise(pixels, 100), target.denoise(move(pixels), 100)
    assert torch.equal(there.noise, move(here.noise)) and torch.equal(there.clean, move(here.clean))
    assert not torch.equal(there.noise, target.denoise(pixels, 100).noise)
    assert spent.forward == 6
    assert torch.equal(view.features(pixels, 100), move(target.features(move(pixels), 100)))
    assert torch.equal(view.attention(pixels, 100), move(target.attention(move(pixels), 100)))
    times = torch.full((3,), 100)
    norms = view.gradient_norms(pixels, times, pixels.flip(0))
    assert torch.equal(norms, target.gradient_norms(move(pixels), times, move(pixels.flip(0))))


def test_the_views_have_names_and_stores_of_their_own(target):
    one, other = Symmetric.of(target, "mirror"), Symmetric.of(target, "half-turn")
    assert len({view.identity.digest for view in (target, one, other)}) == 3
    # samples lie on the disk under the first 16 characters, answers in memory under 40
    stranger = replace(target, identity=replace(target.identity, digest="f" * 64))
    assert Symmetric.of(stranger, "mirror").identity.digest[:16] != one.identity.digest[:16]
    one.kept["samples"] = 1
    assert "samples" not in target.kept and "samples" not in other.kept
    assert Symmetric.of(target, "mirror").kept["samples"] == 1


def test_what_two_symmetries_undo_or_make_together_is_one_model(target):
    mirror = Symmetric.of(target, "mirror")
    assert Symmetric.of(mirror, "mirror") is target
    assert Symmetric.of(mirror, "upside-down").identity == Symmetric.of(target, "half-turn").identity
    assert (
        Symmetric.of(Symmetric.of(target, "half-turn"), "mirror").identity
        == Symmetric.of(target, "upside-down").identity
    )


@pytest.mark.parametrize("spec", ["loss", "pia", "pfami", "drc-hide(steps=2, restorations=1)"])
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
    for wrong in (["sideways"], ["mirror", "mirror"], ["all", "mirror"]):
        with pytest.raises(UserError, match="choose from mirror, upside-down, half-turn"):
            named_symmetries(wrong)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [("symmetric(pia, symmetries=none)", "name at least one"), ("symmetric(quantile)", "leave it out")],
)
def test_what_has_no_mirror_is_refused(spec, problem):
    with pytest.raises(UserError, match=problem):
        parse_attacks(spec)
