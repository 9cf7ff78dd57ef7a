"""Restorations round by round, until the score of a picture is clear."""

from dataclasses import replace

import numpy as np
import pytest
from slowly import slowly

from trainedon.attacks import DRC, parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.attacks.drc.comparison import Comparing
from trainedon.errors import UserError

BASE = "restorations=4, degradation=diffuse:100+250, symmetries=mirror"


@pytest.fixture(scope="module")
def batch(batch_of):
    return batch_of(11)


def both(settle: float, given: str = BASE, pivot: float = 0.0) -> tuple[DRC, DRC]:
    (plain,) = parse_attacks(f"drc@1({given})")
    return plain, replace(plain, settle=settle, pivot=pivot)


@pytest.mark.parametrize(
    "given", [BASE, *slowly("restorations=3, degradation=hide, roi=cover, steps=2, encoder=own+pixel")]
)
def test_a_picture_that_never_stops_has_the_score_of_before_bit_for_bit(given, target, batch):
    plain, patient = both(1e12, given)
    with target.counted() as spent:
        scores = run(patient, target, batch).scores
    with target.counted() as usual:
        expected = run(plain, target, batch).scores
    assert np.array_equal(scores, expected)
    assert spent.forward == usual.forward == 11 * plain.cost(target).forward == 11 * patient.cost(target).forward


def test_pictures_stop_when_their_own_restorations_make_them_clear(target, batch):
    plain, hasty = both(1.5)
    with target.counted() as spent:
        scores = run(hasty, target, batch).scores
    assert 11 * 2 * 2 * 2 < spent.forward < 11 * plain.cost(target).forward, "some stop, and some do not"
    expected = run(plain, target, batch).scores
    stopped = scores != expected
    assert stopped.any() and not stopped.all()
    assert spent.forward == sum(_rounds(plain, target, batch, i, scores[i]) for i in range(11)) * 2 * 2


def _rounds(plain, target, batch, i, score):
    """How many restorations give this score of picture i, each restored anew by the attack without stopping."""
    counts = [k for k in range(2, 5) if np.isclose(_first(plain, target, batch[i : i + 1], k), score, rtol=1e-9)]
    assert len(counts) == 1
    return counts[0]


def _first(plain, target, picture, k):
    """The score from the first k of its rounds: with seeds and draws as they are, those are its own columns."""
    from trainedon.compare import pool
    from trainedon.targets import Symmetric

    regions, comparing = plain.roi.masks(target, picture), Comparing(plain.encoder, plain.pooling)
    values = []
    for view in (target, Symmetric.of(target, "mirror")):
        restored = plain.restoring.restore(view, picture, regions)
        originals = plain.encoder.encode_each(view, picture.pixels, regions)
        found = comparing.similarities(view, picture, originals, restored, regions)[0].unflatten(2, (2, 4))[..., :k]
        values.append(pool(found.flatten(2), plain.pooling, plain.encoder.highest).item())
    return values[0] - values[1]


def test_the_score_depends_on_the_picture_alone(target, batch):
    _, hasty = both(1.5)
    scores = run(hasty, target, batch).scores
    order = [7, 3, 10, 0]
    assert np.array_equal(run(hasty, target, batch.take(order)).scores, scores[order])
    assert np.array_equal([run(hasty, target, batch[i : i + 1]).scores[0] for i in range(3)], scores[:3])
    rows, target.batching.rows = target.batching.rows, 8
    try:
        assert np.array_equal(run(hasty, target, batch).scores, scores)
    finally:
        target.batching.rows = rows


def test_a_far_pivot_stops_everything_and_the_score_itself_nothing(target, batch):
    plain, early = both(3, pivot=-1e6)
    with target.counted() as spent:
        run(early, target, batch)
    assert spent.forward == 11 * 2 * 2 * 2
    score = run(plain, target, batch[:1]).scores[0]
    assert run(replace(plain, settle=1000, pivot=float(score)), target, batch[:1]).scores[0] == score


def test_exhibits_are_of_the_rounds_that_all_have(target, batch):
    (hidden,) = parse_attacks("drc-hide(steps=2, restorations=3, settle=2, pivot=1, encoder=pixel)")
    shown = run(hidden, target, batch[:2]).exhibits
    assert [name for name in shown[0].pictures if "restored" in name] == ["restored-1", "restored-2"]
    assert len(shown[0].similarities) == 2


def test_a_picture_without_a_reference_has_no_score(target, batch_of):
    batch = batch_of(2)
    batch.pixels[0] = 0.25
    scores = run(both(2)[1], target, batch).scores
    assert np.isnan(scores[0]) and np.isfinite(scores[1])


def test_its_parameters_stand_in_the_text_of_the_attack():
    plain, hasty = both(2.5, pivot=0.5)
    assert repr(plain).endswith("share=1.0, settle=0.0, pivot=0.0)") and hasty != plain
    assert repr(hasty) == repr(plain).replace("settle=0.0, pivot=0.0", "settle=2.5, pivot=0.5")
    assert parse_attacks("drc@1(settle=2.5)") == [DRC(settle=2.5)] and DRC(settle=2.5).spelled() == "drc@1(settle=2.5)"
    assert repr(parse_attacks("drc-fast")[0]).startswith("DRCFast(roi=Full(), ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("settle=-1", "0 or more"),
        ("pivot=1", "give settle as well"),
        ("settle=2, restorations=2", "restorations=3 or more"),
        ("settle=2, pooling=median", "mean-log or mean"),
        ("settle=2, pooling=energy, degradation=hide", "mean-log or mean"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        parse_attacks(f"drc@1({given})")
