"""Do attacks agree: correlations against scipy, counts against a slow oracle, too few pictures give null."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import spearmanr
from slowly import slowly

from trainedon.evidence import Evaluation, Scores, evaluate_table, to_json
from trainedon.evidence.protocol.agreement import FEWEST, spearman
from trainedon.evidence.protocol.rules import STANDARD_2
from trainedon.evidence.table.split import calibration_mask

RNG = np.random.default_rng(11)


def rows(set_name, scores, attack):
    made = []
    for i, score in enumerate(scores):
        digest = hashlib.sha256(f"{set_name}{i}".encode()).hexdigest()
        row = {"picture": f"{set_name}-{i:04d}.png", "set": set_name, "sha256": digest, "score": score}
        made.append(row | {"attack": attack, "attack_repr": f"{attack}()"})
    return made


def table(members, unseen, seed=0, attacks=("a", "b", "c")):
    """Attacks whose scores share a part with one another; `c` is the first one turned round, and rounded to ties."""
    rng = np.random.default_rng(seed)
    made = []
    for set_name, n, shift in (("member", members, 2.0), ("unseen", unseen, 0.0)):
        shared = rng.normal(shift, 1, n)
        for name in attacks:
            scores = -shared.round(1) if name == "c" else shared + rng.normal(0, 0.5, n)
            made += rows(set_name, scores.tolist(), name)
    return made


@pytest.fixture(scope="module")
def found():
    return evaluate_table(Scores.from_rows(table(120, 640)))


def test_correlations_are_those_of_scipy(found):
    by_attack = {name: [r["score"] for r in table(120, 640) if r["attack"] == name] for name in "abc"}
    expected = spearmanr(np.array(list(by_attack.values())), axis=1).statistic
    np.testing.assert_allclose(found.agreement.spearman, expected, atol=1e-12)
    assert found.agreement.attacks == ("a()", "b()", "c()")
    assert found.agreement.spearman[0][2] < -0.8


@pytest.mark.parametrize("common", [FEWEST - 1, FEWEST])
def test_a_correlation_needs_ten_pictures_in_common(common):
    score = RNG.normal(size=(2, 30))
    score[0, : 15 - common] = np.nan
    score[1, 15:] = np.nan
    matrix = spearman(score)
    assert (matrix[0][1] is None) == (common < FEWEST)
    assert matrix[0][1] == matrix[1][0]
    assert matrix[1][1] == 1


def test_constant_scores_have_no_correlation():
    score = np.vstack([np.full(20, 3.0), RNG.normal(size=20)])
    assert spearman(score) == ((None, None), (None, pytest.approx(1.0)))


def test_rank_correlation_knows_only_the_order():
    score = np.sort(RNG.normal(size=40))
    matrix = spearman(np.vstack([score, np.exp(3 * score), -(score**3)]))
    assert matrix[0] == (pytest.approx(1), pytest.approx(1), pytest.approx(-1))
    assert all(-1 <= value <= 1 for row in matrix for value in row)


def test_counts_agree_with_a_slow_oracle(found):
    """Each picture by hand: above the printed threshold or not, unseen ones only where they did not set it."""
    one = found.agreement
    assert (one.fpr, one.naming) == (0.01, (0, 1, 2))
    thresholds = [attack.tpr_at_fpr["0.01"].threshold for attack in found.attacks]
    scores = Scores.from_rows(table(120, 640))
    unseen = scores.sample(scores.attacks[0], "unseen").rows
    calibrates = {row.picture for row, used in zip(unseen, calibration_mask(unseen)) if used}
    by: dict[str, list[int]] = {row.picture: [] for row in scores.rows if row.picture not in calibrates}
    for row in scores.rows:
        attack = "abc".index(row.attack)
        if row.picture in by and row.score > thresholds[attack]:
            by[row.picture].append(attack)
    for set_name, n in (("member", 120), ("unseen", 320)):
        expected = [sum(p.startswith(set_name) and len(b) == k for p, b in by.items()) for k in range(4)]
        assert list(getattr(one.named_by, set_name)) == expected
        assert sum(expected) == n
    assert one.named_by.member[2] > 10 > one.named_by.unseen[2]
    members = {picture: tuple(attacks) for picture, attacks in by.items() if picture.startswith("member")}
    assert {named.picture: named.by for named in one.pictures} == members
    for i, attack in enumerate(found.attacks):
        assert sum(i in named.by for named in one.pictures) == round(attack.tpr_at_fpr["0.01"].tpr * 120)


def test_members_are_listed_most_often_named_first(found):
    listed = [(-len(named.by), named.picture) for named in found.agreement.pictures]
    assert listed == sorted(listed)
    assert len(listed) == 120
    assert found.agreement.pictures[0].sha256 is not None


def test_of_many_members_those_that_most_attacks_name_are_listed(found):
    whole = found.agreement
    assert whole.n_not_listed == 0 and "n_not_listed" not in to_json(found)
    few = evaluate_table(Scores.from_rows(table(120, 640)), rules=replace(STANDARD_2, listed=10)).agreement
    assert few.pictures == whole.pictures[:10] and few.n_not_listed == 110
    assert few.named_by == whole.named_by


@pytest.mark.parametrize(("unseen", "level"), [(58, None), (59, 0.05), *slowly((298, 0.05), (299, 0.01))])
def test_the_level_is_the_lowest_that_can_be_estimated(unseen, level):
    one = evaluate_table(Scores.from_rows(table(20, unseen))).agreement
    assert one.fpr == level
    assert (one.named_by is None) == (level is None)
    assert (one.naming, one.pictures == ()) == (((), True) if level is None else ((0, 1, 2), False))


def test_an_attack_with_few_scores_names_nothing():
    given = table(20, 400)
    for row in given:
        if row["attack"] == "b" and row["picture"] > "unseen-0040":
            row["score"] = None
    one = evaluate_table(Scores.from_rows(given)).agreement
    assert (one.fpr, one.naming) == (0.01, (0, 2))
    assert len(one.named_by.member) == 3
    assert not any(1 in named.by for named in one.pictures)


def test_pictures_without_some_score_are_not_counted():
    given = table(20, 400)
    hole = next(row for row in given if (row["attack"], row["picture"]) == ("b", "member-0003.png"))
    hole["score"] = float("nan")
    one = evaluate_table(Scores.from_rows(given)).agreement
    assert sum(one.named_by.member) == len(one.pictures) == 19
    assert "member-0003.png" not in {named.picture for named in one.pictures}


@pytest.mark.parametrize("given", [table(200, 400, attacks=("a",)), table(4, 5)], ids=["one attack", "nine pictures"])
def test_nothing_is_said_of_one_attack_or_of_few_pictures(given):
    assert evaluate_table(Scores.from_rows(given)).agreement is None


def test_the_document_is_strict_and_comes_back(found):
    text = to_json(found)
    assert Evaluation.model_validate_json(text) == found
    data = json.loads(text)
    for change in ({"extra": 1}, {"spearman": [[1.5]]}, {"fpr": "0.01"}):
        with pytest.raises(ValidationError):
            Evaluation.model_validate_json(json.dumps(data | {"agreement": data["agreement"] | change}))
    del data["agreement"]  # what older runs wrote
    assert Evaluation.model_validate_json(json.dumps(data)).agreement is None


def test_lists_of_numbers_take_one_line_each(found):
    lines = [line.strip().rstrip(",") for line in to_json(found).splitlines()]
    assert '"by": [0, 1]' in lines and '"naming": [0, 1, 2]' in lines
    assert not [line for line in lines if line.replace(".", "").isdigit()]


def test_a_name_that_looks_like_json_is_left_alone():
    nasty = "[\n 1,\n 2\n].png"
    given = [r | {"picture": nasty} if r["picture"] == "member-0000.png" else r for r in table(20, 60)]
    found = evaluate_table(Scores.from_rows(given))
    assert nasty in {named.picture for named in Evaluation.model_validate_json(to_json(found)).agreement.pictures}


def test_order_of_rows_and_names_of_no_picture_matter():
    given = table(30, 400)
    order = np.random.default_rng(0).permutation(len(given) // 3)
    shuffled = [given[i * (len(given) // 3) + j] for i in range(3) for j in order]
    shuffled.sort(key=lambda r: r["attack"])
    assert to_json(evaluate_table(Scores.from_rows(shuffled))) == to_json(evaluate_table(Scores.from_rows(given)))


def test_evidence_needs_neither_torch_nor_pillow():
    code = (
        "import sys, trainedon.evidence as e; e.evaluate_scores;"
        "allowed = ('evidence', 'formats', 'errors', 'files', 'reading', 'run_files', 'pages', 'parquet');"
        "ours = tuple('trainedon.' + m for m in allowed);"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'PIL', 'diffusers')"
        " or m.startswith('trainedon.') and not m.startswith(ours)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
