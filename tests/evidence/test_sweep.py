"""What a sweep says of its settings, from scores to document and sentence."""

import hashlib
import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from trainedon.errors import UserError
from trainedon.evidence import Scores, evaluate_table, sweep, to_json
from trainedon.evidence.protocol.paired import auc_difference
from trainedon.evidence.statistics.roc import auc, placements
from trainedon.evidence.studies.sweep import Sweep, named
from trainedon.formats.run_record import CostEntry, SweepEntry

RATIOS = (0.1, 0.25, 0.5, 0.75)


def rows(lifts, members=80, unseen=120, noise=0.4, seed=0):
    """Scores of one setting a lift. What makes a picture easy is shared; each score has noise of its own besides."""
    rng, made = np.random.default_rng(seed), []
    easy = {"member": rng.normal(0, 1, members), "unseen": rng.normal(0, 1, unseen)}
    for k, lift in enumerate(lifts):
        for name, shared in easy.items():
            scores = shared + lift * (name == "member") + rng.normal(0, noise, len(shared))
            for i, score in enumerate(scores.tolist()):
                digest = hashlib.sha256(f"{name}{i}".encode()).hexdigest()
                made.append({"picture": f"{i:03}.png", "set": name, "sha256": digest, "score": score})
                made[-1] |= {"attack": "drc", "attack_repr": f"DRC({k})"}
    return made


def sides(table, k):
    """(members, unseen) of one setting."""
    found = [[r for r in table if (r["attack_repr"], r["set"]) == (f"DRC({k})", name)] for name in ("member", "unseen")]
    return tuple(np.array([row["score"] for row in part], dtype=float) for part in found)


def planned(n, name="mask-ratio", values=RATIOS, axis="mask-ratio", **changes):
    settings = [{"setting": {name: values[k]}, "repr": f"DRC({k})"} for k in range(n)]
    group = {"title": "How much", "question": "How much is best?", "varied": [name], "axis": axis}
    plan = {"attack": "drc", "notes": [], "groups": [group | {"settings": settings}]} | changes
    return SweepEntry.model_validate(plan)


def found(lifts, costs=(), plan=None, **options):
    return sweep(Scores.from_rows(rows(lifts, **options)), plan or planned(len(lifts)), costs).groups[0]


def naive_error(first, second):
    """DeLong's standard error of a difference, written out pair by pair."""
    (x1, y1), (x2, y2) = first, second

    def wins(x, y):
        return (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])

    difference = wins(x1, y1) - wins(x2, y2)
    by_member, by_unseen = difference.mean(1), difference.mean(0)
    return np.sqrt(by_member.var(ddof=1) / len(x1) + by_unseen.var(ddof=1) / len(y1))


def test_the_best_is_known_marked_and_said():
    group = found((0.5, 1.5, 2.5, 1.2))
    aucs = [point.auc for point in group.points]
    assert group.best == 2 == int(np.argmax(aucs)) and group.points[2].behind is None
    assert group.clear and group.pairs == 6
    assert group.sentence.startswith(
        f"Highest is mask-ratio 0.5 (AUC {aucs[2]:.3f}); the runner-up is mask-ratio 0.25 ({aucs[1]:.3f}). "
    )
    assert "is more than chance explains. Beyond chance it is ahead of all of the 3 others." in group.sentence
    assert "may lie beyond" not in group.sentence


def test_a_difference_is_clear_although_the_intervals_overlap():
    """The very reason for comparing on the same pictures."""
    group = found((1.0, 1.3), noise=0.1)
    low, high = group.points
    assert group.best == 1 and low.auc_ci[1] > high.auc_ci[0] + 0.05
    assert group.clear and low.behind.p_value_holm < 0.001
    assert low.behind.difference == pytest.approx(high.auc - low.auc)
    assert low.behind.difference_ci[0] > 0
    unpaired = rows((1.0, 1.3), noise=0.1)
    order = np.random.default_rng(5).permutation(80)
    for i, row in enumerate(row for row in unpaired if row["attack_repr"] == "DRC(1)" and row["set"] == "member"):
        row["picture"] = f"{order[i]:03}.png"
    assert not sweep(Scores.from_rows(unpaired), planned(2)).groups[0].clear, "other pictures tell nothing of the kind"


def test_numbers_are_those_of_the_evaluation():
    """With copies, excluded pictures, a picture without a score, and enough unseen ones for 1 %."""
    table = rows((1.0, 2.0), members=60, unseen=400)
    table[5] |= {"score": None, "reason": "no answer"}
    inventory = [
        {key: row[key] for key in ("picture", "set", "sha256")}
        | {"reason": "cut short" if row["picture"] == "001.png" else None}
        | dict.fromkeys(("format", "mode", "width", "height", "bytes", "sharpness", "label"))
        for row in table[:460]
    ]
    table += [row | {"picture": "zzz.png", "score": 99.0} for row in table if row["picture"] == "000.png"]
    table += [
        row | {"set": "suspect", "score": 99.0}
        for row in table
        if (row["picture"], row["set"]) == ("002.png", "member")
    ]
    scores = Scores.from_rows(table)
    group, evaluation = sweep(scores, planned(2), (), inventory).groups[0], evaluate_table(scores, inventory)
    for point, attack in zip(group.points, evaluation.attacks, strict=True):
        rate = attack.tpr_at_fpr["0.01"]
        assert (point.auc, point.auc_ci, point.auc_ci_method) == (attack.auc, attack.auc_ci_alone, attack.auc_ci_method)
        assert (point.tpr_1, point.tpr_1_ci) == (rate.tpr, rate.tpr_ci_alone) and point.tpr_1 is not None
        assert (point.n_members, point.n_unseen) == (attack.n_members, attack.n_unseen)
    assert [point.n_members for point in group.points] == [58, 59]
    assert group.points[0].behind.difference == pytest.approx(group.points[1].auc - group.points[0].auc, abs=0.02)


def test_pictures_that_one_setting_has_no_score_for_are_left_out_of_the_comparison_alone():
    table = rows((1.0, 1.0))
    for row in table:
        if row["attack_repr"] == "DRC(0)" and row["set"] == "member" and row["picture"] < "060.png":
            row |= {"score": None, "reason": "no answer"}
    first, second = sweep(Scores.from_rows(table), planned(2)).groups[0].points
    assert (first.n_members, second.n_members) == (20, 80)
    (some, unseen), (every, other) = sides(table, 0), sides(table, 1)
    expected = auc_difference((every[60:], other), (some[60:], unseen))
    behind = (first if first.behind else second).behind
    assert abs(behind.difference) == pytest.approx(abs(expected.value))
    assert behind.p_value == pytest.approx(expected.p_value)


def test_the_paired_error_is_delongs():
    table = rows((1.0, 1.4), members=30, unseen=41)
    first, second = ([scores.round(1) for scores in sides(table, k)] for k in (0, 1))
    one = auc_difference(second, first)
    assert one.value == pytest.approx(auc(*second).value - auc(*first).value)
    reach = (one.interval[1] - one.interval[0]) / 2
    assert reach == pytest.approx(norm.ppf(0.975) * naive_error(second, first), rel=0.1)
    assert reach > norm.ppf(0.975) * naive_error(second, first)  # Student's t
    assert one.p_value == pytest.approx(2 * norm.sf(one.value / naive_error(second, first)), abs=0.02)
    back = auc_difference(first, second)
    assert (back.value, back.p_value) == (-one.value, one.p_value)
    for side in placements(*first):
        assert side.mean() == pytest.approx(auc(*first).value)


def test_where_pictures_say_nothing_of_the_error_there_is_no_p_value():
    high, low = np.array([5.0, 6.0]), np.array([1.0, 2.0])
    assert auc_difference((high, low), (high + 1, low)) == auc_difference((high, low), (high, low))
    assert auc_difference((high, low), (high, low)).p_value == 1 and auc_difference((high, low), (high, low)).value == 0
    turned = auc_difference((high, low), (low, high))
    assert (turned.value, turned.interval, turned.p_value) == (1.0, None, None)
    alone = auc_difference((high[:1], low), (low[:1], np.array([0.0, 9.0])))
    assert (alone.value, alone.interval, alone.p_value) == (0.5, None, None)


def test_p_values_are_corrected_for_every_pair():
    group = found((1.0, 1.1, 1.25, 1.3))
    raw = [point.behind.p_value for point in group.points if point.behind]
    holm = [point.behind.p_value_holm for point in group.points if point.behind]
    assert all(corrected >= plain for corrected, plain in zip(holm, raw))
    table = rows((1.0, 1.1, 1.25, 1.3))
    both = [sides(table, k) for k in range(4)]
    every = sorted(auc_difference(both[a], both[b]).p_value for a in range(4) for b in range(a))
    assert min(holm) == pytest.approx(
        max(min(1, p * (6 - i)) for i, p in enumerate(every[: every.index(min(raw)) + 1]))
    )


@pytest.mark.parametrize("sweeps", [15, pytest.param(40, marks=pytest.mark.slow)])
def test_equal_settings_are_seldom_told_apart_though_the_best_is_picked(sweeps):
    """Eight settings of one strength: all but 5 in 100 sweeps must not call the best one clear."""
    clear = [
        found((1.0,) * 8, plan=planned(8, values=range(8)), members=40, unseen=60, seed=s).clear for s in range(sweeps)
    ]
    assert sum(clear) <= sweeps // 10
    beaten = [found((1.0,) * 7 + (1.7,), plan=planned(8, values=range(8)), seed=s).clear for s in range(sweeps // 5)]
    assert all(beaten), "and a real difference is seen"


def test_no_setting_better_than_a_coin_is_said():
    group = found((0.0, 0.0, 0.05))
    assert not group.clear and "which still cannot be told from guessing" in group.sentence
    assert "no more than chance explains" in group.sentence and "ahead of none of the 2 others" in group.sentence
    assert "guessing" not in found((2.0, 2.0)).sentence


def test_a_best_at_an_end_of_what_was_tried_is_said():
    assert found((0.5, 1.0, 2.0)).sentence.endswith(
        "It has the largest mask-ratio that was tried, so the best may lie beyond."
    )
    assert "smallest mask-ratio" in found((2.0, 1.0, 0.5)).sentence
    assert "may lie beyond" not in found((0.5, 2.0)).sentence, "with two values the best is always at an end"
    words = planned(3, "encoder", ("own", "pixel", "ssim"), None)
    assert "may lie beyond" not in found((0.5, 1.0, 2.0), plan=words).sentence


def test_of_equally_good_settings_the_cheapest_is_best():
    table = rows((1.0,))
    table += [row | {"attack_repr": f"DRC({k})"} for row in table for k in (1, 2)]
    costs = [
        CostEntry(attack=f"DRC({k})", forward_per_picture=f, backward_per_picture=b)
        for k, (f, b) in enumerate([(40, 40), (50, 10), (90, 0)])
    ]
    group = sweep(Scores.from_rows(table), planned(3), costs).groups[0]
    assert [point.passes for point in group.points] == [120, 70, 90] and group.best == 1
    assert group.points[0].behind.difference == 0 and group.points[0].behind.p_value_holm == 1
    assert not group.clear
    assert [point.passes for point in sweep(Scores.from_rows(table), planned(3)).groups[0].points] == [None] * 3


def test_what_could_not_be_scored_is_null():
    table = rows((1.0, 2.0, 3.0), members=5, unseen=9)
    for row in table:
        if row["attack_repr"] == "DRC(2)":
            row |= {"score": None, "reason": "no answer"}
    group = sweep(Scores.from_rows(table), planned(3)).groups[0]
    nothing = group.points[2]
    assert nothing.auc is nothing.auc_ci is nothing.tpr_1 is nothing.behind is None
    assert group.best == 1 and group.pairs == 1
    only = sweep(Scores.from_rows([r for r in table if r["attack_repr"] != "DRC(1)"]), _without(planned(3), 1)).groups[
        0
    ]
    assert only.sentence.endswith("; no other setting could be scored.") and not only.clear
    for row in table:
        row |= {"score": None}
    none = sweep(Scores.from_rows(table), planned(3)).groups[0]
    assert none.best is None and none.sentence.startswith("Too few pictures could be scored")


def _without(plan, k):
    (group,) = plan.groups
    settings = [one for i, one in enumerate(group.settings) if i != k]
    return plan.model_copy(update={"groups": [group.model_copy(update={"settings": settings})]})


def test_one_picture_a_side_decides_nothing():
    group = found((1.0, 3.0), members=1, unseen=1)
    (behind,) = [point.behind for point in group.points if point.behind]
    assert not group.clear and behind.p_value in (None, 1)


def test_settings_in_words():
    assert named({"steps": 20, "inverted": True, "scale": 5.0}) == "steps 20, inverted, scale 5"
    assert named({"inverted": False, "encoder": "own+pixel"}) == "not inverted, encoder own+pixel"


def test_what_is_missing_is_said_and_the_document_is_strict():
    table = rows((1.0, 2.0))
    with pytest.raises(UserError, match="no picture in set 'unseen'"):
        sweep(Scores.from_rows([row for row in table if row["set"] == "member"]), planned(2))
    with pytest.raises(UserError, match=r"the scores lack DRC\(2\), which belongs to the sweep"):
        sweep(Scores.from_rows(table), planned(3))
    document = sweep(Scores.from_rows(table), planned(2, notes=["left out"]))
    assert document.notes == ("left out",) and document.attack == "drc"
    text = to_json(document)
    assert Sweep.model_validate_json(text) == document
    with pytest.raises(ValidationError):
        Sweep.model_validate_json(json.dumps(json.loads(text) | {"winner": 1}))
