"""One training run whose pictures were drawn by coin: the bound on epsilon, and coins that cannot be bent."""

import hashlib
import json
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom
from slowly import slowly

from trainedon.errors import UserError
from trainedon.evidence import Draw, Scores, audit_table, coin, commitment, evaluate_table, read_draw, to_json
from trainedon.evidence.protocol.blind import LOGGED, PLAIN
from trainedon.evidence.protocol.one_run import epsilon_bound, one_run, p_value


def sample(scores, name="member"):
    rows = [{"picture": f"{name}{i}", "set": name, "score": float(x)} for i, x in enumerate(scores)]
    table = Scores.from_rows(rows)
    return table.sample(table.attacks[0], name)


def test_p_value_by_counting():
    """beta + 2 m delta alpha with exact fractions at epsilon = log 3, where a guess is right with chance 3/4."""
    m, r, right, delta = 12, 8, 7, 1e-3
    chance = [Fraction(comb(r, k)) * Fraction(3, 4) ** k * Fraction(1, 4) ** (r - k) for k in range(r + 1)]
    alpha = max(sum(chance[right - i : right]) / i for i in range(1, right + 1))
    truth = sum(chance[right:]) + 2 * m * Fraction(delta) * alpha
    assert p_value(m, r, right, np.log(3), delta) == pytest.approx(float(truth))
    assert p_value(m, r, right, np.log(3), 0) == pytest.approx(float(sum(chance[right:])))
    assert p_value(m, r, 0, 1.0, delta) == 1


def test_all_guesses_right_give_the_closed_form():
    """(e^eps / (1 + e^eps))^r = level"""
    for r in (10, 100):
        truth = np.log(1 / (0.05 ** (-1 / r) - 1))
        assert epsilon_bound(r, r, r, 0.0, 0.05) == pytest.approx(truth, abs=1e-4)
        assert epsilon_bound(r, r, r, 1e-5, 0.05) < truth
    assert epsilon_bound(100, 100, 50, 0.0, 0.05) == 0


@pytest.mark.parametrize("epsilon", [1.0, *slowly(0.0, 2.5)])
def test_the_bound_holds_for_randomised_response(epsilon):
    """Each coin is told truly with chance e^eps / (1 + e^eps), which is exactly epsilon-private."""
    rng = np.random.default_rng(int(10 * epsilon))
    above, found = 0, []
    for _ in range(150):
        inside = rng.random(120) < 0.5
        told = np.where(rng.random(120) < expit(epsilon), inside, ~inside) + rng.normal(0, 0.1, 120)
        bound = one_run(sample(told[inside]), sample(told[~inside], "unseen"), delta=0.0)
        above += bound.epsilon > epsilon
        found.append(bound.epsilon)
    assert above / 150 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.median(found) > epsilon / 3 - 0.1


def test_guesses_fixed_in_advance_are_not_corrected_for():
    x, y = np.arange(40) + 100.0, np.arange(40.0)
    free, fixed = (one_run(sample(x), sample(y, "unseen"), 0.0, guesses) for guesses in (None, 80))
    assert fixed.tried == (80,)
    assert free.tried == (80, 40, 20, 10)
    assert free.guesses == free.correct == 80
    assert free.epsilon < fixed.epsilon == pytest.approx(np.log(1 / (0.05 ** (-1 / 80) - 1)), abs=1e-4)
    assert one_run(sample(x[:3]), sample(y[:4], "unseen")) is None


def test_ties_are_not_broken_by_membership():
    right = one_run(sample(np.zeros(100)), sample(np.zeros(100), "unseen"), guesses=200).correct
    assert abs(right - 100) < 4 * np.sqrt(binom(200, 0.5).var())


def drawn(n=60, secret="of the auditor"):
    digests = {f"{i}.png": hashlib.sha256(str(i).encode()).hexdigest() for i in range(n)}
    pictures = [{"picture": k, "sha256": v, "included": coin(secret, v)} for k, v in digests.items()]
    text = {"secret": secret, "commitment": commitment(secret, digests.values()), "pictures": pictures, "set_aside": []}
    return Draw.model_validate_json(json.dumps(text))


def as_run(draw, shift, asked):
    rng = np.random.default_rng(0)
    table, listed = [], []
    for one in draw.pictures:
        name = asked if one.included else "unseen"
        table.append(
            {"picture": one.picture, "set": name, "sha256": one.sha256, "score": rng.normal(shift * one.included)}
        )
        facts = {key: float(rng.uniform(0.1, 1)) for key in (*LOGGED, *PLAIN)} | {"format": "PNG", "mode": "RGB"}
        listed.append({"picture": one.picture, "set": name, "sha256": one.sha256, "reason": None} | facts)
    return Scores.from_rows(table), listed


def test_coins_are_fair_and_differ_between_secrets():
    one, other = (np.array([p.included for p in drawn(400, secret).pictures]) for secret in ("a", "b"))
    assert 150 < one.sum() < 250
    assert 150 < (one == other).sum() < 250


def test_coins_lead_to_level_four_and_to_a_bound():
    draw = drawn()
    found = audit_table(*as_run(draw, 2, "suspect"), draw=draw)
    assert found.claim.level == 4
    assert (found.randomised.n_included + found.randomised.n_held_out, found.randomised.commitment) == (
        60,
        draw.commitment,
    )
    alone = audit_table(*as_run(draw, 2, "suspect")).claim
    assert (alone.level, "so few pictures" in alone.sentence) == (2, True), "without coins it takes more of them"
    assert audit_table(*as_run(draw, 0, "suspect"), draw=draw).claim.level == 1
    bound = evaluate_table(*as_run(draw, 3, "member"), draw=draw).attacks[0].one_run
    assert (bound.n_included + bound.n_held_out, bound.epsilon > 0.5) == (60, True)
    assert evaluate_table(*as_run(draw, 3, "member")).attacks[0].one_run is None


def test_a_run_that_is_not_the_draw_is_refused():
    draw = drawn()
    scores, listed = as_run(draw, 2, "suspect")
    with pytest.raises(UserError, match=r"of the draw is not given \(1 missing\)"):
        audit_table(scores, listed[1:], draw=draw)
    turned = [listed[0] | {"set": "unseen" if listed[0]["set"] == "suspect" else "suspect"}, *listed[1:]]
    with pytest.raises(UserError, match="by the draw and is given as"):
        audit_table(scores, turned, draw=draw)
    with pytest.raises(UserError, match="is not in the draw"):
        audit_table(scores, [*listed, listed[0] | {"sha256": "0" * 64}], draw=draw)
    nothing = Draw(secret="s", commitment=commitment("s", []), pictures=(), set_aside=())
    for empty, given in ((nothing, listed), (nothing, None), (draw, None)):
        with pytest.raises(UserError, match="says nothing without its pictures"):
            audit_table(scores, given, draw=empty)


def test_scores_of_pictures_that_were_not_drawn_count_for_nothing():
    draw = drawn()
    scores, listed = as_run(draw, 0, "suspect")
    extra = [{"picture": f"x{i}", "set": "suspect", "score": 9.0 + i} for i in range(50)]
    more = Scores.from_rows([row._asdict() for row in scores.rows] + [row | {"attack": "unnamed"} for row in extra])
    found = audit_table(more, listed, draw=draw)
    assert found.set == audit_table(scores, listed, draw=draw).set
    assert {one.reason for one in found.pictures[-50:]} == {"it is not in the list of pictures"}


def test_coins_carry_no_claim_when_a_drawn_picture_has_no_score():
    draw = drawn()
    scores, listed = as_run(draw, 2, "suspect")
    assert audit_table(scores, listed, draw=draw).claim.level == 4
    some = Scores.from_rows([row._asdict() for row in scores.rows[1:]])
    assert audit_table(some, listed, draw=draw).claim.level == 3


def test_a_draw_that_was_changed_is_refused(tmp_path):
    draw, path = drawn(), tmp_path / "draw.json"
    path.write_text(to_json(draw))
    assert read_draw(path) == draw
    data = json.loads(to_json(draw))
    data["pictures"][3]["included"] ^= True
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="does not follow from its secret"):
        read_draw(path)
    path.write_text(to_json(draw).replace(draw.pictures[0].sha256, "0" * 64))
    with pytest.raises(UserError, match="does not follow"):
        read_draw(path)
    path.write_text("{}")
    with pytest.raises(UserError, match="is no draw"):
        read_draw(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_draw(tmp_path / "none.json")
