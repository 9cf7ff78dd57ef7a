"""Is the model asked alike about both sets? What differs, what does not, and what it costs."""

from collections import Counter

import numpy as np
import pytest
from slowly import slowly

from trainedon.evidence import Circumstances, Scores, audit_table, evaluate_table, to_json
from trainedon.evidence.protocol import blind
from trainedon.evidence.protocol.conditioning import _differing, conditioning_control
from trainedon.evidence.table.picture_table import PictureTable


def pictures(**sets):
    """set -> for each picture what it was asked with, as rows of an inventory in which nothing else differs."""
    rng = np.random.default_rng(0)
    rows = []
    for name, told in sets.items():
        for i, one in enumerate(told):
            facts = {key: float(rng.uniform(60, 190)) for key in (*blind.PLAIN, "sharpness")}
            facts |= {"format": "PNG", "mode": "RGB", "width": 32, "height": 32, "bytes": int(rng.integers(900, 3000))}
            digest = f"{int(rng.integers(2**62)):064x}"
            rows.append({"picture": f"{i}.png", "set": name, "sha256": digest, "reason": None, **facts, **one})
    return rows


def captioned(n, without=0):
    return [{"caption": None if i < without else f"a cat, number {i * i % 7}"} for i in range(n)]


def labelled(n, origin="given", labels=(0, 1, 2)):
    return [{"label": labels[i % len(labels)], "label_from": origin} for i in range(n)]


def table(m, n, shift=1.5, first="suspect"):
    rng = np.random.default_rng(1)
    return Scores.from_rows(
        {"picture": f"{i}.png", "set": name, "score": float(rng.normal() + shift * (name == first))}
        for name, count in ((first, m), ("unseen", n))
        for i in range(count)
    )


def control(by, first, unseen):
    return conditioning_control(PictureTable.read(pictures(suspect=first, unseen=unseen)), ("suspect", "unseen"), by)


@pytest.mark.parametrize(
    ("first", "unseen", "differs"),
    [
        (captioned(40), captioned(60), False),
        (captioned(40, 40), captioned(60, 60), False),  # none has any
        (captioned(40), captioned(60, 60), True),
        (captioned(40, 40), captioned(60), True),
        (captioned(12, 1), captioned(60), False),  # one picture decides nothing
        (captioned(12, 2), captioned(60), False),  # nor do two, which chance deals so once in forty
        (captioned(12, 4), captioned(60), True),
        (captioned(40), captioned(60, 59), True),  # and does not hide what holds for all others
        (captioned(40, 4), captioned(60, 6), False),
        (captioned(1000, 30), captioned(1000), True),  # few, and not by chance
        (captioned(1000, 2), captioned(1000), False),
    ],
)
def test_captions_that_one_set_lacks(first, unseen, differs):
    found = control("caption", first, unseen)
    assert found.differs is differs and (found.because is not None) is differs
    assert sum(found.ways["suspect"].values()) == len(first) and found.classes_p_value is None


@pytest.mark.parametrize(("n", "rate"), [(20, 0.1), (50, 0.1), *slowly((100, 0.3), (200, 0.5))])
def test_captions_that_chance_left_out_of_both_sets_alike_cost_no_claim(n, rate):
    rng = np.random.default_rng(0)
    lacking = rng.binomial(n, rate, (1000, 2)).tolist()
    ways = [[Counter(own=n - missing, missing=missing) for missing in pair] for pair in lacking]
    assert sum(_differing("missing", *pair) is not None for pair in ways) <= 20  # of 1000, at a level of 0.01


def test_one_caption_for_all_is_alike():
    found = control("one caption", captioned(40), captioned(60))
    assert found.ways == {"suspect": {"one": 40}, "unseen": {"one": 60}} and not found.differs


@pytest.mark.parametrize(
    ("first", "unseen", "differs"),
    [
        (labelled(40), labelled(60), False),
        (labelled(40, "inferred"), labelled(60, "inferred", [2]), False),  # the pictures are of other classes
        (labelled(40), labelled(60, "inferred"), True),
        (labelled(40, "folders"), labelled(60, "given"), True),
        (labelled(40, "folders", [0]), labelled(60, "folders", [1, 2]), True),
        (labelled(40, "given", [0, 1]), labelled(60, "given", [0, 1, 1]), False),
        (labelled(40), [{"label": None}] * 60, True),
    ],
)
def test_classes_from_elsewhere_or_of_other_kinds(first, unseen, differs):
    assert control("class", first, unseen).differs is differs


def test_the_spread_of_classes_is_a_valid_test():
    rng = np.random.default_rng(3)
    p = []
    for _ in range(60):
        sets = [[{"label": int(k), "label_from": "given"} for k in rng.integers(0, 8, n)] for n in (12, 40)]
        p.append(control("class", *sets).classes_p_value)
    assert sum(one <= 0.05 for one in p) <= 8 and 0.3 < np.mean(p) < 0.7


def test_what_differs_costs_the_claim_its_level_and_is_flagged():
    scores = table(40, 120)
    alike = audit_table(
        scores,
        pictures(suspect=labelled(40), unseen=labelled(120)),
        circumstances=Circumstances(conditioned_on="class"),
    )
    assert alike.claim.level == 3 and not alike.asked.differs
    rows = pictures(suspect=labelled(40, "inferred"), unseen=labelled(120))
    found = audit_table(scores, rows, circumstances=Circumstances(conditioned_on="class"))
    assert found.claim.level == 2 and "was not asked alike about the two sets" in found.claim.sentence
    (flag,) = [flag for flag in found.flags if flag.code == "asked-differently"]
    assert "0 of 40 pictures were asked about with a class label given, and 120 of 120" in flag.raised_because
    assert audit_table(scores, rows).claim.level == 3, "a run that did not record it is what it was"
    assert '"asked"' not in to_json(audit_table(scores, rows)) and '"asked"' in to_json(found)


def test_missing_captions_cost_the_claim_its_level():
    rows = pictures(suspect=captioned(40), unseen=captioned(120, 120))
    found = audit_table(table(40, 120), rows, circumstances=Circumstances(conditioned_on="caption"))
    assert found.claim.level == 2 and "asked-differently" in {flag.code for flag in found.flags}


def test_an_evaluation_is_flagged_and_an_audit_without_unseen_pictures_is_not():
    rows = pictures(member=labelled(40), unseen=labelled(60, "inferred"))
    found = evaluate_table(table(40, 60, first="member"), rows, circumstances=Circumstances(conditioned_on="class"))
    assert found.asked.differs and "asked-differently" in {flag.code for flag in found.flags}
    alone = audit_table(
        table(40, 0), pictures(suspect=labelled(40)), circumstances=Circumstances(conditioned_on="class")
    )
    assert alone.claim.level == 1 and not alone.asked.differs
