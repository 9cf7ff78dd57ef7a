"""Statistics from two arrays."""

import numpy as np
import pytest

from trainedon import evidence
from trainedon.errors import UserError
from trainedon.evidence import Scores
from trainedon.evidence.statistics import conformal_threshold


def two(m=400, n=700, shift=1.0):
    rng = np.random.default_rng(0)
    return rng.normal(shift, 1, m), rng.normal(0, 1, n)


def test_an_evaluation_of_two_arrays_holds_what_the_pure_functions_say():
    members, unseen = two()
    (attack,) = evidence.evaluate_scores(members, unseen).attacks
    area = evidence.auc(members, unseen)
    assert (attack.auc, attack.auc_ci, attack.n_members, attack.n_unseen) == (area.value, area.interval, 400, 700)
    rate = attack.tpr_at_fpr["0.01"]
    assert rate.tpr == (members > rate.threshold).mean() and rate.threshold in unseen
    assert attack.tpr_at_fpr["0.001"].tpr is None, "700 unseen pictures are too few"


def test_an_audit_of_two_arrays_holds_what_the_pure_functions_say():
    suspects, unseen = two(20, 200, shift=3.0)
    audit = evidence.audit_scores(suspects.tolist(), unseen)
    assert audit.set.p_value == evidence.permutation_test(suspects, unseen).p_value
    p = evidence.conformal_p(suspects, unseen)
    assert [row.p_value for row in audit.pictures] == sorted(p)
    assert [row.q_value for row in audit.pictures] == sorted(evidence.benjamini_hochberg(p))
    assert audit.pictures[0].picture == f"suspect {suspects.argmax()}"


def test_suspects_alone_have_scores_and_no_p_values():
    audit = evidence.audit_scores([0.5, 2.5])
    assert [(row.score, row.p_value) for row in audit.pictures] == [(2.5, None), (0.5, None)]
    assert audit.set.p_value is None


def test_a_score_that_is_not_finite_counts_as_missing():
    (attack,) = evidence.evaluate_scores([1.0, float("nan"), 2.0], [0.0, 1.5]).attacks
    assert (attack.n_members, attack.n_not_scored) == (2, 1)


@pytest.mark.parametrize(("scores", "says"), [([[1.0], [2.0]], r"shape \(2, 1\)"), (["a"], "not all numbers")])
def test_what_is_no_array_of_scores_is_refused(scores, says):
    with pytest.raises(UserError, match=says):
        evidence.evaluate_scores(scores, [1.0])


def test_a_table_of_arrays_is_the_table_of_their_rows():
    rows = [{"picture": "member 0", "set": "member", "score": 1.0, "attack": "mine"}]
    rows += [{"picture": f"unseen {i}", "set": "unseen", "score": float(i), "attack": "mine"} for i in range(2)]
    assert Scores.from_arrays(member=[1], unseen=[0, 1], attack="mine") == Scores.from_rows(rows)


def test_a_rate_may_be_given_as_a_number():
    members, unseen = two()
    halves = unseen[::2], unseen[1::2]
    rate = evidence.tpr_at_fpr(members, *halves, 0.01)
    assert rate == evidence.tpr_at_fpr(members, *halves, "0.01")
    assert rate.tpr_ci() == evidence.clopper_pearson(rate.true_positives, rate.members)


SCORES = [0.0, 1.0, 2.0]
ENTRIES = {  # each public function of scores, with one of its arrays open
    "auc, positive": lambda x: evidence.auc(x, SCORES),
    "auc, negative": lambda x: evidence.auc(SCORES, x),
    "conformal_p, scores": lambda x: evidence.conformal_p(x, SCORES),
    "conformal_p, unseen": lambda x: evidence.conformal_p(SCORES, x),
    "permutation_test, suspects": lambda x: evidence.permutation_test(x, SCORES),
    "permutation_test, unseen": lambda x: evidence.permutation_test(SCORES, x),
    "tpr_at_fpr, members": lambda x: evidence.tpr_at_fpr(x, SCORES, SCORES, 0.3),
    "tpr_at_fpr, calibration": lambda x: evidence.tpr_at_fpr(SCORES, x, SCORES, 0.3),
    "tpr_at_fpr, evaluation": lambda x: evidence.tpr_at_fpr(SCORES, SCORES, x, 0.3),
    "conformal_threshold": lambda x: conformal_threshold(x, 0.3),
    "holm": evidence.holm,
    "benjamini_hochberg": evidence.benjamini_hochberg,
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_pure_functions_take_lists_and_refuse_what_is_no_finite_number(entry):
    function, good = ENTRIES[entry], [0.5, 0.25, 1.0]
    assert np.array_equal(function(good), function(np.array(good)))
    for bad in ([0.5, float("nan"), 1.0], [0.5, float("inf"), 1.0]):
        with pytest.raises(UserError, match=r"1 of 3 are NaN or infinite"):
            function(bad)
    with pytest.raises(UserError, match=r"the shape \(1, 3\)"):
        function([good])
    with pytest.raises(UserError, match="not all numbers"):
        function(["a"])


@pytest.mark.parametrize("adjust", [evidence.holm, evidence.benjamini_hochberg])
def test_what_is_no_p_value_is_refused(adjust):
    with pytest.raises(UserError, match=r"2 of 3 lie outside \[0, 1\]"):
        adjust([-0.1, 0.5, 1.1])
