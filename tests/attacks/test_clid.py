"""CLiD against its formula, and attacks asked with other captions, on a model whose answer is known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.learned.clid import CLiD, shortened
from trainedon.attacks.wrappers.recaptioned import Recaptioned, controls, with_pool
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch
from trainedon.targets import Identity, NoisePath, Target

CAPTIONS = ("a red cat on a mat", "two blue birds", None, "a tree", "the sea at night", "a red cat on a mat")


@dataclass(eq=False)
class Asked(Target):
    """Answers `x_t` divided by 1 + the number of words that it is conditioned on."""

    conditioning = "caption"

    def predict(self, x_t, t, condition):
        words = torch.tensor([1 + len(text.split()) for text in condition.texts])
        return x_t / words.view(-1, 1, 1, 1)


@pytest.fixture
def asked():
    return Asked(Identity("asked", "0", "", 0), (3, 4, 4), NoisePath.from_scheduler({}), "epsilon")


def batch(n=48):
    pixels = np.random.default_rng(5).uniform(-1, 1, (n, 3, 4, 4)).astype(np.float32)
    captions = tuple(CAPTIONS[i % len(CAPTIONS)] for i in range(n))
    made = Batch.of(torch.from_numpy(pixels))
    return Batch(made.pixels, made.sha256, captions=captions)


def test_clid_is_its_formula(asked):
    attack, given = CLiD(t=(440, 460), a=0.8, seed=3), batch()
    observed = run(attack, asked, given).scores
    noise = NoiseStream(given.sha256, [0] * 48, (3, 4, 4), seed=3, device="cpu")
    scheduler, errors = asked.path, []
    for t in (440, 460):
        eps = noise.next()
        x_t = asked.noised(given.pixels, scheduler.like_ddpm(t), eps)
        for i, caption in enumerate(given.captions):
            words = len((caption or "").split())
            left = [words, *(words - max(1, round(s * words)) for s in (0.3, 0.5, 0.7, 1.0))]
            errors.append([float(((x_t[i] / (1 + n) - eps[i]) ** 2).mean()) for n in left])
    loss = np.array(errors).reshape(2, 48, 5).mean(0)
    worded = np.array([caption is not None for caption in given.captions])
    d, minus = (loss[:, 1:] - loss[:, :1]).mean(1), -loss[:, 0]
    np.testing.assert_allclose(observed[worded], np.stack([d, -minus], 1)[worded], rtol=1e-5, atol=1e-7)
    known = np.flatnonzero(worded)[:30]
    scores = attack.fit(observed[known], np.zeros(30, bool))(observed[worded])

    def scaled(values):
        low, middle, high = np.quantile(values[known], [0.25, 0.5, 0.75])
        return (values - middle) / (high - low)

    np.testing.assert_allclose(scores, (0.8 * scaled(d) + 0.2 * scaled(minus))[worded], rtol=1e-4)


def test_clid_scores_all_but_pictures_without_a_caption_and_its_scale_is_that_of_unseen_pictures(asked):
    given, sets = batch(), ["member", "unseen"] * 24
    scores = CLiD().score(asked, given, sets)
    assert np.isfinite(scores).tolist() == [caption is not None for caption in given.captions]
    assert "no caption" in CLiD.unscored
    other = Batch(given.pixels.clone(), given.sha256, captions=given.captions)
    other.pixels[::2] *= 3  # of members alone
    again = CLiD().score(asked, other, sets)
    assert np.array_equal(again[1::2], scores[1::2], equal_nan=True) and not np.allclose(again[0], scores[0])


def test_words_that_are_dropped_depend_on_caption_seed_and_share_and_keep_their_order():
    caption = "one two three four five six seven eight nine ten"
    left = [shortened(caption, share, 0).split() for share in (0.3, 0.5, 0.7)]
    assert [len(words) for words in left] == [7, 5, 3] and set(left[0]) > set(left[1]) > set(left[2])
    assert all(words == [word for word in caption.split() if word in words] for words in left)
    assert shortened(caption, 0.5, 0) != shortened(caption, 0.5, 1)
    assert shortened("cat", 0.3, 0) == "" == shortened("", 0.3, 0)


@pytest.mark.parametrize("spec", ["clid", "recaptioned(loss)"])
def test_models_that_take_no_captions_are_refused(spec, target):
    (attack,) = parse_attacks(spec)
    with pytest.raises(UserError, match="conditioned on captions, and this one is not: leave it out"):
        attack.check(target)


def test_other_captions_are_what_the_model_is_asked_with(asked):
    given, pool = batch(12), Pool.of(CAPTIONS)
    (loss,) = parse_attacks("loss")

    def under(*captions):
        return run(loss, asked, Batch(given.pixels, given.sha256, captions=captions)).scores

    fixed = run(Recaptioned(loss, "fixed", "one two three"), asked, given).scores
    assert np.array_equal(fixed, under(*["one two three"] * 12))
    assert np.array_equal(run(Recaptioned(loss, "none"), asked, given).scores, under(*[None] * 12))
    shuffled = Recaptioned(loss, "shuffled", pool=pool)
    drawn = [pool.other(caption, sha, 0) for caption, sha in zip(given.captions, given.sha256)]
    assert all(one in pool.captions and one != own for one, own in zip(drawn, given.captions))
    scores = run(shuffled, asked, given).scores
    assert np.array_equal(scores, under(*drawn))
    assert np.array_equal(run(shuffled, asked, given.take([7, 2])).scores, scores[[7, 2]]), "neighbours matter"


def test_where_no_other_caption_is_there_is_no_score(asked):
    given = Batch(batch(2).pixels, batch(2).sha256, captions=("a tree", "the sea"))
    attack = Recaptioned(parse_attacks("loss")[0], "shuffled", pool=Pool.of(["a tree"]))
    assert np.isnan(run(attack, asked, given).scores).tolist() == [True, False]
    assert "no other picture" in attack.unscored
    with pytest.raises(UserError, match="give pool=FILE"):
        run(Recaptioned(attack.attack, "shuffled"), asked, given)


def test_a_pool_is_what_captions_there_are_whatever_their_order_and_number(tmp_path):
    pool = Pool.of(["b", None, "a", "b", "", "c"])
    assert pool == Pool.of(["c", "a", "b"]) != Pool.of(["a", "b"]) and pool.captions == ("a", "b", "c")
    assert {pool.other("b", i) for i in range(40)} == {"a", "c"} and {pool.other("z", i) for i in range(40)} == {*"abc"}
    (tmp_path / "lines.txt").write_text("a\nb\n\nc\n")
    (attack,) = parse_attacks(f"recaptioned(loss, captions=shuffled, pool={tmp_path / 'lines.txt'})")
    assert attack.pool == pool and pool.digest[:16] in repr(attack) and "'b'" not in repr(attack)
    (tmp_path / "lines.txt").write_text("a\n")
    with pytest.raises(UserError, match="two different captions"):
        Pool.open(tmp_path / "lines.txt")


def test_controls_are_those_of_every_attack_that_is_none_itself(asked, target):
    pool, attacks = Pool.of("ab"), parse_attacks("loss, flip(recaptioned(pia, captions=shuffled)), recaptioned(loss)")
    attacks = [with_pool(attack, pool) for attack in attacks]
    assert attacks[1].attack.pool == pool and attacks[2].pool is None
    loss, flip, named = attacks
    made = controls(asked, attacks, pool)
    assert [(one.attack, one.captions) for one in made] == [(loss, "shuffled"), (flip, "fixed"), (flip, "shuffled")]
    assert named not in made and made[0].pool == pool
    assert controls(asked, attacks, Pool.of("a")) == controls(target, attacks, pool) == []
