"""Scores in, documents out: `evaluate` and `audit` from end to end, and strict JSON."""

import hashlib
import json
import re

import numpy as np
import pytest
from pydantic import ValidationError

from trainedon.errors import UserError
from trainedon.evidence import Audit, Evaluation, Scores, audit_table, evaluate_table, to_json
from trainedon.evidence.protocol.documents import Claim, Rate
from trainedon.evidence.protocol.flag_words import KNOWN


def rows(set_name, scores, attack="drc"):
    made = []
    for i, score in enumerate(scores):
        digest = hashlib.sha256(f"{set_name}{i}".encode()).hexdigest()
        made.append({"picture": f"{i:04d}.png", "set": set_name, "sha256": digest, "score": float(score)})
        made[-1] |= {"attack": attack, "attack_repr": f"{attack.upper()}()", "nfe": 20, "seconds": 0.5}
    return made


def inventory(table, **fixed):
    listed = {(r["set"], r["picture"]): r for r in table}.values()
    facts = {"reason": None, "label": None, "format": "PNG", "mode": "RGB", "width": 32, "height": 32}
    made = []
    for r in listed:
        # Facts at random: about one pair of sets in twenty is separated by chance, and those in here are not.
        rng = np.random.default_rng(int(r["sha256"][:9], 16))
        stats = {f"{kind}_{c}": float(rng.uniform(50, 200)) for kind in ("mean", "std") for c in "rgb"}
        sizes = {"bytes": int(rng.integers(1500, 3000)), "sharpness": float(rng.uniform(50, 900))}
        sizes |= {
            "phash": f"{int(rng.integers(2**63)):016x}",
            "jpeg_trace": 1.0,
            "detail": float(rng.uniform(0.1, 0.2)),
        }
        made.append({key: r[key] for key in ("picture", "set", "sha256")} | facts | stats | sizes | fixed)
    return made


def normal(seed, n, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, n)


def codes(document):
    return [flag.code for flag in document.flags]


@pytest.fixture(scope="module")
def known():
    return rows("member", normal(1, 256, 2)) + rows("unseen", normal(2, 1024))


@pytest.fixture(scope="module")
def asked():
    return rows("suspect", normal(3, 40, 1.5)) + rows("unseen", normal(4, 200))


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


def test_evaluation_has_the_fields_of_the_protocol_and_sound_numbers(known):
    found = evaluate_table(Scores.from_rows(known), inventory(known))
    one = found.attacks[0]
    assert (one.name, one.repr, one.n_members, one.n_unseen, one.n_not_scored) == ("drc", "DRC()", 256, 1024, 0)
    assert (one.n_calibration, one.n_evaluation) == (512, 512)
    assert (one.nfe_per_picture, one.seconds_per_picture) == (20, 0.5)
    assert one.auc_ci[0] < 0.921 < one.auc_ci[1]  # Phi(sqrt 2)
    assert list(one.tpr_at_fpr) == ["0.05", "0.01", "0.001"]
    rate = one.tpr_at_fpr["0.01"]
    assert rate.estimable
    assert rate.note is None
    scores = np.array([r["score"] for r in known if r["set"] == "member"])
    assert rate.tpr == (scores > rate.threshold).mean()
    assert rate.tpr_ci[0] < rate.tpr < rate.tpr_ci[1]
    beyond = one.tpr_at_fpr["0.001"]
    assert beyond.note == "not estimable (n = 1024, need 2995)"
    assert (beyond.estimable, beyond.n, beyond.needed) == (False, 1024, 2995)
    assert (beyond.tpr, beyond.tpr_ci, beyond.fpr, beyond.fpr_ci, beyond.threshold) == (None,) * 5
    assert found.flags == ()
    assert found.blind.separates is False


def test_audit_of_used_pictures_reaches_level_three(asked):
    found = audit_table(Scores.from_rows(asked), inventory(asked))
    assert found.claim.level == 3
    assert found.set.p_value == 1e-5
    assert found.set.effect_ci[0] > 0.5
    scores = [one.score for one in found.pictures]
    assert scores == sorted(scores, reverse=True)
    assert found.pictures[0].p_value == pytest.approx(1 / 201)
    assert [one.q_value for one in found.pictures] == sorted(one.q_value for one in found.pictures)
    assert found.n_named == sum(one.q_value <= 0.05 for one in found.pictures)
    assert found.unseen_score_quantiles["1"] == max(r["score"] for r in asked if r["set"] == "unseen")
    assert found.flags == ()


def test_audit_of_unused_pictures_finds_nothing():
    table = rows("suspect", normal(5, 40)) + rows("unseen", normal(6, 200))
    found = audit_table(Scores.from_rows(table), inventory(table))
    assert found.claim.level == 1
    assert "does not show that the pictures were not used" in found.claim.sentence


def test_shifted_sets_stay_at_level_two_whatever_the_scores(asked):
    for fixed, code in (({"format": "JPEG"}, "codec-mismatch"), ({"width": 48}, "resolution-mismatch")):
        listed = inventory([r for r in asked if r["set"] == "suspect"], **fixed)
        found = audit_table(Scores.from_rows(asked), listed + inventory([r for r in asked if r["set"] == "unseen"]))
        assert found.claim.level == 2
        assert codes(found) == ["blind-baseline-separates", code]


def test_scores_alone_stay_at_level_two_or_below(asked):
    assert audit_table(Scores.from_rows(asked)).claim.level == 2
    assert codes(audit_table(Scores.from_rows(asked))) == ["blind-baseline-not-run", "near-duplicates-not-sought"]
    alone = audit_table(Scores.from_rows([r for r in asked if r["set"] == "suspect"]))
    assert (alone.claim.level, alone.set.p_value, alone.n_named) == (1, None, None)
    assert alone.pictures[0].p_value is None
    assert "no-unseen" in codes(alone)


@pytest.mark.parametrize(("m", "n"), [(0, 1), (1, 0), (1, 1), (2, 3), (1, 12), (12, 12)])
def test_tiny_sets_give_documents_not_crashes(m, n):
    suspects, unseen = rows("suspect", normal(7, m)), rows("unseen", normal(8, n))
    missing = [r | {"picture": "bad.png", "score": None} for r in rows("suspect", [0]) + rows("unseen", [0])]
    table = suspects + unseen + missing
    found = audit_table(Scores.from_rows(table), inventory(table))
    assert found.claim.level <= 1
    assert found.attacks[0].n_not_scored == 2
    assert Audit.model_validate_json(to_json(found)) == found
    table = [r | {"set": "member"} if r["set"] == "suspect" else r for r in table]
    one = evaluate_table(Scores.from_rows(table), inventory(table))
    assert Evaluation.model_validate_json(to_json(one)) == one
    assert (one.attacks[0].auc is None) is (m == 0 or n == 0)
    assert not any(rate.estimable for rate in one.attacks[0].tpr_at_fpr.values())
    assert "few-unseen" in codes(one)


def test_not_finite_scores_are_counted_and_change_nothing_else(known):
    bad = [("nan", float("nan")), ("inf", float("inf")), ("low", float("-inf")), ("none", None)]
    extra = [r | {"picture": name, "score": score, "sha256": None} for r in rows("member", [0]) for name, score in bad]
    clean, dirty = evaluate_table(Scores.from_rows(known)).attacks[0], evaluate_table(Scores.from_rows(known + extra))
    one = dirty.attacks[0]
    assert (one.auc, one.tpr_at_fpr, one.n_members) == (clean.auc, clean.tpr_at_fpr, clean.n_members)
    assert one.n_not_scored == 4
    assert {item.reason: item.n for item in one.not_scored} == {
        "the score is infinite": 2,
        "the score is not a number": 1,
        "no score was given": 1,
    }
    assert "not-scored" in codes(dirty)


def test_unscored_suspects_are_listed_last_with_their_reason(asked):
    table = [*asked, asked[0] | {"picture": "zz.png", "sha256": None, "score": None, "reason": "out of memory"}]
    listed = inventory(asked)
    listed.append(listed[0] | {"picture": "torn.png", "sha256": None, "reason": "truncated"})
    found = audit_table(Scores.from_rows(table), listed)
    last = found.pictures[-2:]
    assert [(one.picture, one.score, one.p_value, one.reason) for one in last] == [
        ("torn.png", None, None, "truncated"),
        ("zz.png", None, None, "out of memory"),
    ]
    assert len(found.pictures) == 42
    assert {"excluded-pictures", "not-scored"} <= set(codes(found))


def test_duplicates_are_left_out_and_flagged(asked):
    copy = next(r for r in asked if r["set"] == "suspect")
    table = [*asked, copy | {"picture": "copy.png"}, copy | {"set": "unseen", "picture": "copy.png"}]
    found = audit_table(Scores.from_rows(table))
    assert found.pictures[-1].reason == f"exact duplicate of {copy['picture']}"
    alone = audit_table(Scores.from_rows(asked))
    assert found.attacks[0].n_suspects + found.attacks[0].n_unseen == 240, (
        "a picture in both sets counts in one of them"
    )
    assert found.set.effect == pytest.approx(alone.set.effect, abs=0.02)
    assert found.duplicates.n_across == 1
    assert "duplicates" in codes(found)


def test_several_attacks_are_corrected_and_may_disagree(asked):
    other = rows("suspect", normal(9, 40), "loss") + rows("unseen", normal(10, 200), "loss")
    found = audit_table(Scores.from_rows(asked + other), inventory(asked))
    assert [one.name for one in found.attacks] == ["drc", "loss"]
    assert found.set == found.attacks[0].set
    assert found.set.p_value_holm == pytest.approx(3 * found.set.p_value)  # two attacks, and both together
    assert {"multiple-attacks", "attacks-disagree"} <= set(codes(found))
    turned = audit_table(Scores.from_rows(other + asked), inventory(asked))
    assert turned.claim.level == 1
    assert turned.pictures[0].score == max(r["score"] for r in other if r["set"] == "suspect")


def test_an_attack_below_chance_is_flagged():
    table = rows("member", normal(1, 60, -2)) + rows("unseen", normal(2, 60))
    assert "attack-below-chance" in codes(evaluate_table(Scores.from_rows(table)))
    table = [r | {"set": "suspect"} if r["set"] == "member" else r for r in table]
    assert "attack-below-chance" in codes(audit_table(Scores.from_rows(table)))
    assert audit_table(Scores.from_rows(table)).claim.level == 1


def test_order_of_rows_changes_no_byte(asked):
    shuffled = [asked[i] for i in np.random.default_rng(0).permutation(len(asked))]
    assert to_json(audit_table(Scores.from_rows(asked), inventory(asked))) == to_json(
        audit_table(Scores.from_rows(shuffled), inventory(shuffled))
    )


def test_missing_sets_are_refused(asked, known):
    with pytest.raises(UserError, match="member"):
        evaluate_table(Scores.from_rows(asked))
    with pytest.raises(UserError, match="suspect"):
        audit_table(Scores.from_rows(known))


def test_json_is_strict_ordered_and_says_no_forbidden_word(asked, known):
    for document in (audit_table(Scores.from_rows(asked)), evaluate_table(Scores.from_rows(known))):
        text = to_json(document)
        assert list(strict(text)) == [
            name
            for name, field in type(document).model_fields.items()
            if field.exclude_if is None or not field.exclude_if(getattr(document, name))
        ]
        assert text.endswith("}\n")
        assert set(codes(document)) <= set(KNOWN)
        assert not re.search(r"\bprove|\bcontain|was copied|probability", text)
    data = strict(to_json(audit_table(Scores.from_rows(asked))))
    for change in ({"unknown": 1}, {"schema_version": 3}, {"protocol": "standard-3"}, {"false_discovery_rate": "0.05"}):
        with pytest.raises(ValidationError):
            Audit.model_validate_json(json.dumps(data | change))


def test_documents_refuse_nan_and_change():
    with pytest.raises(ValidationError):
        Claim(level=5, sentence="", because="")
    one = Claim(level=1, sentence="a", because="b")
    with pytest.raises(ValidationError):
        one.level = 2
    rate = {
        "tpr_ci": None,
        "tpr_ci_alone": None,
        "fpr": None,
        "fpr_ci": None,
        "estimable": False,
        "n": 0,
        "needed": 1,
        "note": None,
    }

    for bad in (float("nan"), float("inf"), 1.5):
        with pytest.raises(ValidationError):
            Rate(tpr=bad, threshold=None, **rate)
    with pytest.raises(ValidationError):
        Rate(tpr=None, threshold=float("nan"), **rate)


def test_a_large_table_has_a_thinned_curve_and_rare_rates():
    table = rows("member", normal(1, 20_000, 1)) + rows("unseen", normal(2, 20_000))
    found = evaluate_table(Scores.from_rows(table))
    assert found.attacks[0].tpr_at_fpr["0.001"].estimable
    assert len(found.attacks[0].roc) <= 400
