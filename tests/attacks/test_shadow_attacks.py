"""Attacks that compare the audited model with shadow models, against the formulas written out naively."""

import hashlib
import json
import math
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from once import once
from PIL import Image
from scipy.stats import norm

from trainedon.attacks import Loss, parse_attacks
from trainedon.attacks.core.answers import silent
from trainedon.attacks.shadow.gsa import GSA
from trainedon.attacks.shadow.lira import LiRA
from trainedon.attacks.shadow.rmia import RMIA
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import Batch, scan
from trainedon.targets import Shadows, load_target
from trainedon.targets.helpers import POOL, SHADOWS, pool_digest
from trainedon.targets.load import model_digest
from trainedon.training import Recipe, train, train_shadows


@pytest.fixture
def shadows(shadow_folders):
    return Shadows.open(shadow_folders["rgb"])


@pytest.fixture
def target(target_folders):
    return load_target(target_folders["epsilon"])


def with_members(folder, out, members):
    """The same models, of which it is said that they were trained on others: bool (models, n), or fewer models."""
    shutil.copytree(folder, out)
    pool = dict(np.load(folder / POOL)) | {"members": members}
    np.savez(out / POOL, **pool)
    names = [f"{number:03d}" for number in range(len(members))]
    digest = hashlib.sha256((out / POOL).read_bytes()).digest()
    record = {"models": names, "digest": pool_digest(digest, [model_digest(out / name) for name in names])}
    (out / SHADOWS).write_text(json.dumps(record))
    return Shadows.open(out)


@cache
def losses(folder, **parameters):
    """Loss of all pictures of the pool under each shadow model, a target like any other: float64 (models, n)."""
    shadows = Shadows.open(folder)
    models = [load_target(folder / name) for name in shadows.models]
    return np.array([-Loss(**parameters).score(model, shadows.batch(range(24))) for model in models])


@pytest.mark.parametrize("form", ["online", "offline"])
def test_lira_is_the_ratio_of_two_normal_densities(form, target, shadows):
    pool = shadows.batch(range(24))
    own = np.log(-Loss(t=150, draws=2, seed=3).score(target, pool))
    shadow = np.log(losses(shadows.folder, t=150, draws=2, seed=3))
    deviations = []
    for picture in range(24):
        for seen in (True, False):
            group = shadow[shadows.members[:, picture] == seen, picture]
            assert len(group) == 2
            deviations += list(group - group.mean())
    s = math.sqrt(sum(d * d for d in deviations) / (24 * 2 * (2 - 1)))
    expected = []
    for picture in range(24):
        mu_in, mu_out = (shadow[shadows.members[:, picture] == seen, picture].mean() for seen in (True, False))
        if form == "offline":
            expected.append((mu_out - own[picture]) / s)
        else:
            expected.append(norm.logpdf(own[picture], mu_in, s) - norm.logpdf(own[picture], mu_out, s))
    scores = LiRA(form=form, t=150, draws=2, seed=3, shadows=shadows).score(target, pool)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_lira_has_no_answer_where_one_side_is_missing(target, shadow_folders, shadows, tmp_path):
    members = shadows.members.copy()
    members[:, 0], members[:, 1] = True, False
    other = with_members(shadow_folders["rgb"], tmp_path / "out", members)
    pool = other.batch([0, 1, 2])
    stranger = Batch(torch.zeros(1, 3, 16, 16), ("f" * 64,))
    online, offline = (LiRA(form=form, draws=1, shadows=other) for form in ("online", "offline"))
    assert np.isnan(online.score(target, pool)).tolist() == [True, True, False]
    assert np.isnan(offline.score(target, pool)).tolist() == [True, False, False]
    assert np.isnan(online.score(target, stranger)).all() and np.isfinite(offline.score(target, stranger)).all()
    assert "lira(form=offline)" in online.unscored


def test_lira_needs_models_that_agree(target, shadow_folders, shadows, tmp_path):
    pair = with_members(shadow_folders["rgb"], tmp_path / "out", shadows.members[:2])
    with pytest.raises(UserError, match="needs 3 shadow models or more"):
        LiRA(shadows=pair).score(target, pair.batch([0]))
    three = with_members(shadow_folders["rgb"], tmp_path / "three", shadows.members[:3])
    assert np.isfinite(LiRA(draws=1, shadows=three).score(target, three.batch([0]))).all()


def test_lira_takes_no_more_pictures_than_it_says(target, shadows):
    attack = LiRA(draws=2, pictures=5, shadows=shadows)
    with target.counted() as spent:
        attack.prepare(target)
    assert spent.forward == attack.cost(target).setup == 5 * 4 * 2


@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_rmia_is_the_share_of_others_that_are_beaten(gamma, target, shadows):
    pool = shadows.batch(range(24))
    dimensions = 3 * 16 * 16
    log_p = -dimensions / 2 * -Loss(draws=2).score(target, pool)
    shadow = -dimensions / 2 * losses(shadows.folder, draws=2)
    ratio = []
    for i in range(24):
        highest = shadow[:, i].max()
        ratio.append(log_p[i] - highest - math.log(sum(math.exp(p - highest) for p in shadow[:, i]) / 4))
    # the population is the whole pool, save the picture itself
    expected = [sum(ratio[i] - ratio[z] >= math.log(gamma) for z in range(24) if z != i) / 23 for i in range(24)]
    scores = RMIA(draws=2, gamma=gamma, shadows=shadows).score(target, pool)
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    assert len(np.unique(scores)) > 12


def test_rmia_compares_with_a_fixed_part_of_the_pool(target, shadows):
    attack = RMIA(draws=1, population=7, shadows=shadows)
    with target.counted() as spent:
        attack.prepare(target)
    assert spent.forward == attack.cost(target).setup == 7 * 5
    scores = attack.score(target, Batch(torch.zeros(1, 3, 16, 16), ("f" * 64,)))
    assert (scores * 7 % 1 < 1e-9).all()


def test_gsa_sees_the_gradient_of_the_mean_error_over_ten_timesteps(target, shadows):
    batch = shadows.batch([3])
    attack = GSA(shadows=shadows)
    features = attack.features(target, batch)[0]
    weights = [w.requires_grad_(True) for w in target.network.parameters()]
    errors = []
    for draw, t in enumerate(range(99, 1000, 100)):
        eps = NoiseStream(batch.sha256, [draw], target.shape, seed=0, device="cpu").next()
        answer = target.network(target.noised(batch.pixels, t, eps), t).sample
        errors.append((answer - eps).square().mean())
    gradients = torch.autograd.grad(torch.stack(errors).mean(), weights)
    norms = np.array([g.double().norm().item() for g in gradients])
    known = norms > 1e-5 * np.linalg.norm(norms)
    assert known.mean() > 0.8
    np.testing.assert_allclose(features[known], np.log(norms[known]), atol=1e-4)
    level = math.log(1e-6 * np.linalg.norm(norms))
    assert features.min() >= level - 1e-6, "what is zero but for rounding is levelled"


def test_gsa_learns_from_as_many_members_as_others(shadow_folders, shadows, tmp_path):
    members = np.zeros((4, 24), dtype=bool)
    members[:, :5] = True
    other = with_members(shadow_folders["rgb"], tmp_path / "out", members)
    for attack, half in ((GSA(pictures=8, shadows=shadows), 4), (GSA(shadows=other), 5)):
        chosen = attack._of_pool()
        assert len({tuple(rows) for rows in chosen}) == 4
        for rows, seen in zip(chosen, attack.shadows.members, strict=True):
            assert len(set(rows)) == len(rows) == 2 * half and seen[rows].sum() == half


def test_gsa_refuses_models_that_are_built_otherwise(target_folders, shadow_folders, tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{number}.png")
    recipe = Recipe(size=16, widths=(8,), attention=False, passes=1)
    train_shadows(source, tmp_path / "out", recipe, models=2, progress=silent)
    target = load_target(target_folders["epsilon"])
    with pytest.raises(UserError, match="train shadow models that are built like it"):
        GSA(shadows=Shadows.open(tmp_path / "out")).prepare(target)


def test_preparing_again_costs_nothing_and_is_told_of(target, shadows):
    for attack in parse_attacks("gsa(pictures=4), lira(draws=1), rmia(draws=1, population=4)", shadows=shadows):
        told = []
        attack.prepare(target, lambda *args, told=told: told.append(args))
        assert told[0][1] == 0 and told[-1][1] == told[-1][2] and told[0][0].startswith(attack.name)
        with target.counted() as spent:
            attack.prepare(target)
        assert spent.forward == spent.backward == 0


def test_attacks_with_the_same_loss_ask_the_network_once(target, shadows, monkeypatch):
    attacks = parse_attacks("lira(draws=2), lira(draws=2, form=offline), rmia(draws=2), loss(draws=2)", shadows=shadows)
    for attack in attacks:
        attack.prepare(target)
    batch = shadows.batch(range(6))
    alone = [attack.score(target, batch) for attack in attacks]
    rows = []
    chunks = type(target).batched
    monkeypatch.setattr(
        type(target), "batched", lambda self, net, x, *rest: (rows.append(len(x)), chunks(self, net, x, *rest))[1]
    )
    with target.counted() as spent, target.sharing():
        together = [attack.score(target, batch) for attack in attacks]
    assert all(map(np.array_equal, alone, together))
    assert sum(rows) == 6 * 2 * 5, "once under the audited model and each of four shadow models"
    assert spent.forward == 6 * sum(attack.cost(target).forward for attack in attacks)


def test_models_of_other_pictures_are_refused_before_any_is_asked(target_folders, shadows):
    target = load_target(target_folders["grey"])
    for attack in parse_attacks("gsa, lira, rmia", shadows=shadows):
        with pytest.raises(UserError, match="shadow models take pictures of"):
            attack.score(target, torch.zeros(1, 1, 16, 16))
    assert target.evaluations.forward == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lira(form=both)", "form 'both' is not known: choose one of online, offline"),
        ("lira(pictures=1)", "pictures must be 2 or more"),
        ("lira(t=1000)", "t must lie in 0..999"),
        ("rmia(gamma=0)", "gamma must be above 0"),
        ("rmia(population=1)", "population 2 or more"),
        ("gsa(pictures=1)", "pictures must be 2 or more"),
        ("gsa", "gsa needs shadow models: give --shadows DIR"),
        ("lira", "lira needs shadow models: give --shadows DIR"),
        ("rmia", "rmia needs shadow models: give --shadows DIR"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(spec, message):
    with pytest.raises(UserError, match=message):
        parse_attacks(spec)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that knows 16 of 32 pictures by heart, four shadow models that were trained alike, and the pictures."""
    root = once(tmp_path_factory, "known-by-heart", _train)
    batch = Batch.from_pictures([entry.read() for entry in scan(root / "pool")], (8, 8), 3)
    return root / "model", Shadows.open(root / "shadows"), batch


def _train(root):
    (root / "pool").mkdir()
    rng = np.random.default_rng(5)
    for number in range(32):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((8, 8), Image.Resampling.BICUBIC).save(root / "pool" / f"{number:02d}.png")
    batch = Batch.from_pictures([entry.read() for entry in scan(root / "pool")], (8, 8), 3)
    recipe = Recipe(
        size=8, widths=(16, 32), attention=False, passes=150, batch_size=16, learning_rate=3e-3, warmup=20, ema=0.98
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # such small layers are slower on two
    try:
        train_shadows(root / "pool", root / "shadows", recipe, models=4, progress=silent)
        train(batch.pixels[:16], root / "model", replace(recipe, seed=77))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["lira", "lira(form=offline)", "rmia", "gsa(pictures=16)"])
def test_members_score_higher(spec, trained):
    audited, shadows, batch = trained
    (attack,) = parse_attacks(spec, shadows=shadows)
    scores = attack.score(load_target(audited), batch)
    members, unseen = scores[:16], scores[16:]
    wins = (members[:, None] > unseen[None]) + 0.5 * (members[:, None] == unseen[None])
    assert wins.mean() > 0.8
