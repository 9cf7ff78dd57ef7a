"""The contract that every attack keeps on every kind of target. A new attack adds one row to ATTACKS."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from trainedon.attacks import DRC, Loss, attacks
from trainedon.errors import UserError
from trainedon.pictures import Batch, scan
from trainedon.targets import load_target

ATTACKS = [
    Loss(),
    Loss(t=50, draws=3),
    DRC(steps=3),
    DRC(roi="cover", steps=2, restorations=1, restorer="join:resamplings=2", encoder="pixel"),
    DRC(roi="attention:0.3", steps=2, restorer="naive", encoder="own+ssim", pooling="median"),
    DRC(roi="inverted(random:0.4)", steps=2, degradation="blur:2", pooling="max"),
]
KINDS = ["epsilon", "v, zero terminal SNR", "sample, cosine betas", "class-conditional", "grey", "learned variance"]


@pytest.fixture(scope="module", params=KINDS)
def target(request, target_folders):
    return load_target(target_folders[request.param])


@pytest.fixture(scope="module")
def batch(target):
    rng = np.random.default_rng(1)
    pixels = torch.from_numpy(rng.uniform(-1, 1, (11, *target.shape)).astype(np.float32))
    return Batch.of(pixels, None if target.classes is None else torch.arange(11) % target.classes)


def test_every_attack_has_a_row():
    assert {attack.name for attack in ATTACKS} == set(attacks())


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_contract(attack, target, batch):
    with target.counted() as spent:
        scores = attack.score(target, batch)
    cost = attack.cost(target)
    assert scores.shape == (11,) and scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert (spent.forward, spent.backward) == (11 * cost.forward, 11 * cost.backward), "declared NFE"
    assert np.array_equal(scores, attack.score(target, batch)), "not deterministic"
    order = [7, 3, 10, 0, 5]
    labels = None if batch.labels is None else batch.labels[order]
    some = Batch(batch.pixels[order], tuple(batch.sha256[i] for i in order), labels)
    np.testing.assert_allclose(
        attack.score(target, some), scores[order], rtol=1e-5, err_msg="order or neighbours matter"
    )
    rows, target.rows = target.rows, 8
    try:
        np.testing.assert_allclose(attack.score(target, batch), scores, rtol=1e-5, err_msg="batch size matters")
    finally:
        target.rows = rows


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_repr_names_every_parameter_and_the_class_declares_itself(attack):
    parameters = {field.name: getattr(attack, field.name) for field in fields(attack)}
    assert all(f"{name}=" in repr(attack) for name in parameters)
    assert attack.title and attack.paper
    assert type(attack)(**parameters) == attack


@pytest.mark.parametrize(
    "attack", [Loss(t=100, draws=8), DRC(steps=10), DRC(roi="cover", steps=6, restorations=1)], ids=repr
)
def test_members_of_an_overtrained_toy_score_higher(attack, overtrained, toy_pictures):
    target = load_target(overtrained)
    members, unseen = (
        attack.score(target, Batch.from_pictures([entry.read() for entry in scan(folder)], (16, 16), 3))
        for folder in toy_pictures.values()
    )
    assert (members[:, None] > unseen[None]).mean() > 0.8


def test_pictures_of_another_size_are_refused(target):
    with pytest.raises(UserError, match="fit them first"):
        Loss().score(target, torch.zeros(2, target.shape[0], 9, 9))


def test_a_class_conditional_model_needs_labels(target_folders):
    target = load_target(target_folders["class-conditional"])
    with pytest.raises(UserError, match="class labels"):
        Loss().score(target, torch.zeros(2, 3, 16, 16))


def test_a_seed_changes_the_noise(target, batch):
    assert not np.array_equal(Loss(seed=1).score(target, batch), Loss(seed=2).score(target, batch))


def test_exhibits_show_what_was_hidden_and_painted(target_folders):
    target = load_target(target_folders["epsilon"])
    batch = Batch.of(torch.from_numpy(np.random.default_rng(3).uniform(-1, 1, (3, 3, 16, 16)).astype(np.float32)))
    judged = DRC(roi="center:0.25+quadrant:1", steps=2, restorations=2).judge(target, batch)
    assert len(judged.exhibits) == 3
    pictures = judged.exhibits[0].pictures
    assert list(pictures) == [
        *("original", "region", "degraded", "region-2", "degraded-2"),
        *("restored-1", "restored-2", "restored-3", "restored-4", "difference"),
    ]
    kept = pictures["region-2"] < 0
    for number in (3, 4):  # the restorations of the second region
        assert torch.equal(pictures[f"restored-{number}"][kept], pictures["original"][kept])
    assert len(judged.exhibits[0].similarities) == 4
