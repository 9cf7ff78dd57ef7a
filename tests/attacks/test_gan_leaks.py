"""GAN-Leaks: samples that are drawn once, kept, and compared."""

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.single.gan_leaks import PART, GANLeaks, _within, read_part, samples_folder
from trainedon.errors import UserError
from trainedon.targets import load_target


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fresh(target_folders):
    """fresh(kind): a target to which nothing was prepared yet."""
    return lambda kind="epsilon": load_target(target_folders[kind])


def as_pixels(samples):
    return samples.float() / 127.5 - 1


def parts(cache):
    return sorted(cache.rglob("*.npz"))


def test_a_picture_that_is_a_sample_has_distance_zero_and_others_the_distance_to_the_nearest(fresh):
    target, attack = fresh(), GANLeaks(samples=16, steps=3)
    samples = as_pixels(attack.drawn(target))
    other = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (3, 3, 16, 16)).astype(np.float32))
    scores = attack.score(target, torch.cat([samples[5:6], other]))
    assert scores[0] == 0
    naive = [min(float((one - s).double().square().mean()) for s in samples) for one in other]
    np.testing.assert_allclose(-scores[1:], naive, rtol=1e-5)


def test_samples_are_all_different_pictures(fresh):
    samples = GANLeaks(samples=16, steps=3).drawn(fresh())
    assert samples.dtype == torch.uint8 and samples.shape == (16, 3, 16, 16)
    assert len({sample.numpy().tobytes() for sample in samples}) == 16


def test_every_guess_of_the_clean_picture_is_one_and_agrees_with_where_the_walk_is(fresh):
    target, x_t = fresh(), torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    clean = 40 * x_t
    guess = _within(target, x_t, 900, clean)
    assert torch.equal(guess.clean, clean.clamp(-1, 1))
    torch.testing.assert_close(target.noised(guess.clean, 900, guess.noise), x_t)


def test_samples_are_drawn_once_for_a_model_and_read_afterwards(fresh, cache):
    attack, first, second = GANLeaks(samples=16, steps=3), fresh(), fresh()
    with first.counted() as spent:
        attack.prepare(first)
        attack.prepare(first)
    assert spent.forward == attack.cost(first).setup == 48
    with second.counted() as spent:
        again = attack.drawn(second)
    assert spent.forward == 0 and torch.equal(again, first.kept[repr(attack)])
    (path,) = parts(cache)
    assert path.parent == samples_folder(first, 3, 0) and first.identity.digest[:16] in path.parts


def test_drawing_goes_on_where_it_was_stopped(fresh, cache):
    attack, target = GANLeaks(samples=PART + 8, steps=1), fresh()

    def stop(what, done, total):
        if done == PART:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attack.drawn(target, stop)
    assert [path.name for path in parts(cache)] == ["000000.npz"]
    with target.counted() as spent:
        samples = attack.drawn(target)
    assert spent.forward == 8 and len(samples) == PART + 8


def test_more_samples_begin_with_the_fewer(fresh):
    target = fresh()
    few, many = (GANLeaks(samples=n, steps=2).drawn(target) for n in (5, 12))
    with target.counted() as spent:
        assert torch.equal(GANLeaks(samples=5, steps=2).drawn(target), few)
    assert spent.forward == 0
    assert _nearly_equal(many[:5], few)


def test_samples_depend_on_the_parameters_and_not_on_the_rows_in_hand(fresh, cache, monkeypatch):
    target, attack = fresh(), GANLeaks(samples=16, steps=3)
    samples = attack.drawn(target)
    assert not torch.equal(GANLeaks(samples=16, steps=3, seed=1).drawn(target), samples)
    assert not torch.equal(GANLeaks(samples=16, steps=4).drawn(target), samples)
    monkeypatch.setenv("TRAINEDON_CACHE", str(cache / "other"))
    target.batching.rows = 8
    assert _nearly_equal(attack.drawn(target), samples)


def _nearly_equal(some, others):
    """Equal but for 8-bit values on the edge between two, which float32 rounds either way."""
    difference = (some.int() - others.int()).abs()
    return difference.max() <= 1 and (difference > 0).float().mean() < 0.01


@pytest.mark.parametrize("damage", ["cut", "flipped", "pickled", "another shape", "short"])
def test_damaged_parts_are_drawn_anew(damage, fresh, cache):
    attack, target = GANLeaks(samples=16, steps=2), fresh()
    samples = attack.drawn(target)
    (path,) = parts(cache)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    elif damage == "pickled":
        np.savez(path, pixels=np.array([{}], dtype=object))
    elif damage == "another shape":
        np.savez(path, pixels=np.zeros((16, 3, 8, 8), dtype=np.uint8))
    else:
        np.savez(path, pixels=samples[:4].numpy())
        assert len(read_part(path, target.shape)) == 4
    with target.counted() as spent:
        again = attack.drawn(target)
    assert spent.forward == 32 and torch.equal(again, samples)
    assert len(read_part(path, target.shape)) == 16


def test_without_a_place_to_keep_them_the_samples_are_drawn_all_the_same(fresh, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path / "file"))
    assert len(GANLeaks(samples=4, steps=1).drawn(fresh())) == 4


def test_samples_are_kept_in_the_home_folder_if_nowhere_else(fresh, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINEDON_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert samples_folder(fresh(), 3, 0).is_relative_to(tmp_path / ".cache" / "trainedon" / "samples")


def test_classes_are_drawn_in_turn(fresh):
    target = fresh("class-conditional")
    asked = []
    answer = target.predict
    target.predict = lambda x, t, condition: (asked.append(condition.labels), answer(x, t, condition))[1]
    GANLeaks(samples=8, steps=1).drawn(target)
    assert torch.cat(asked).tolist()[:8] == [0, 1, 2, 0, 1, 2, 0, 1]  # the others fill up the batch


@pytest.mark.parametrize("spec", ["gan-leaks(samples=0)", "gan-leaks(steps=0)"])
def test_no_samples_are_refused(spec):
    with pytest.raises(UserError, match="samples and steps must be 1 or more"):
        parse_attacks(spec)


def test_more_steps_than_the_model_has_are_refused(fresh):
    with pytest.raises(UserError, match="take fewer steps"):
        GANLeaks(steps=2000).score(fresh(), torch.zeros(1, 3, 16, 16))
