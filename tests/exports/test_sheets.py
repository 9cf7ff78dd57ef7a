"""Tables for other programs: what is in them, in which order, and that no spreadsheet takes a name for a formula."""

import csv
import io
import random

import numpy as np
import pytest
from commandline import call

from trainedon.evidence import Scores, read_scores
from trainedon.evidence.protocol.exposure import most_exposed
from trainedon.exports import score_sheet
from trainedon.exports.csv_cells import as_it_was, csv_parts, harmless

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "a;=cmd|' /C calc'!A0",
    'a;"=1+1;b',
    'a;" \t"=1',
    " =1",
    "; \t'x",
    "a,@b",
    "'=1",
    "''",
    "a\n=b",
    "＝1",
    "a",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_begins_a_formula_and_each_can_be_had_back(text):
    cell = harmless(text)
    assert as_it_was(cell) == text
    for separator in ",;\t":  # whatever a spreadsheet takes for one
        for part in cell.replace("\n", separator).replace("|", separator).split(separator):
            assert not part or part[0] not in "=+-@＝＋－＠"


@pytest.mark.parametrize(
    "text", ["drc@1(t=100, draws=-2).png", "DRC(symmetries=('mirror', 'half-turn'))", "'", "a, ''"]
)
def test_what_no_spreadsheet_runs_is_the_text_itself(text):
    assert harmless(text) == text
    assert as_it_was(text) == text


def test_whatever_separates_cells_none_begins_a_formula_and_texts_can_be_had_back():
    rng = random.Random(0)
    for _ in range(20_000):
        text = "".join(rng.choices("=-'\"; \t,|\na", k=rng.randint(1, 8)))
        assert as_it_was(harmless(text)) == text
        line = "".join(csv_parts([["a", text, "b"]]))
        for separator in ",;\t|":
            for row in csv.reader(io.StringIO(line, newline=""), delimiter=separator):
                assert not [cell for cell in row if cell.strip()[:1] in ("=", "-")], (text, row)


def test_numbers_are_read_back_bit_for_bit():
    numbers = [0.1, 1 / 3, -1e-300, 5e-324, float(np.nextafter(1, 2))]
    (line,) = csv_parts([numbers])
    assert [float(cell) for cell in line.split(",")] == numbers


def table(**scores):
    """scores: name of an attack -> set -> scores."""
    return Scores.from_rows(
        {"picture": f"{name}{i}", "set": name, "attack": attack, "attack_repr": attack, "score": score}
        for attack, sets in scores.items()
        for name, values in sets.items()
        for i, score in enumerate(values)
    )


def test_pictures_are_in_the_order_of_their_smallest_p_value_times_the_attacks():
    unseen = [*range(9)]
    found = [
        *most_exposed(
            table(
                one={"member": [100, 4.5, 8.5, None], "unseen": unseen},
                two={"member": [4.5, 8.5, 8.5, None], "unseen": unseen},
            ),
            "member",
        )
    ]
    assert [one.picture for one in found[:3]] == ["member2", "member0", "member1"], "of equal ones the smaller product"
    assert found[0].p_value == pytest.approx(2 * 1 / 10) and found[0].attack.name == "one"
    assert found[2].attack.name == "two" and found[2].by_attack == ((4.5, 0.5), (8.5, 0.1))
    assert len(found) == 12 and "member3" not in {one.picture for one in found}, "what was not scored is not listed"
    best = next(one for one in found if one.set == "unseen")
    assert best.picture == "unseen8" and best.p_value == pytest.approx(2 * 1 / 9), "an unseen one among the others"


def test_what_one_attack_alone_has_scored_is_corrected_for_one():
    found = [*most_exposed(table(one={"member": [9], "unseen": [1, 2, 3]}, two={"unseen": [1, 2, 3]}), "member")]
    (member,) = [one for one in found if one.set == "member"]
    assert member.p_value == 0.25 and member.by_attack == ((9.0, 0.25), None)
    assert [*most_exposed(table(one={"member": [9], "unseen": [None]}), "member")] == []


def test_p_values_of_pictures_that_nobody_trained_on_hold_over_all_attacks():
    rng, low = np.random.default_rng(0), []
    for _ in range(60):
        sets = {f"a{k}": {"member": rng.normal(size=20), "unseen": rng.normal(size=99)} for k in range(5)}
        low += [one.p_value <= 0.1 for one in most_exposed(table(**sets), "member") if one.set == "member"]
    assert 0.05 < np.mean(low) < 0.12, "with the best of five attacks alone it would be .4"


def test_a_run_has_both_tables_and_they_agree_with_the_scores(run):
    scores = read_scores(run)
    with (run / "scores.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert [(as_it_was(row["picture"]), float(row["score"])) for row in rows] == [
        (row.picture, row.score) for row in scores.rows
    ]
    with (run / "most-exposed.csv").open(newline="") as stream:
        exposed = [*csv.DictReader(stream)]
    assert len(exposed) == 80 and [row["rank"] for row in exposed] == [str(i) for i in range(1, 81)]
    p = [float(row["p_value"]) for row in exposed]
    assert p == sorted(p) and exposed[0]["picture"].startswith("'=member")
    assert {"score of my_attack 50%", "p_value of $x^2$"} <= exposed[0].keys()


def test_more_rows_than_a_spreadsheet_takes_are_not_cut_short(run, monkeypatch):
    monkeypatch.setattr(score_sheet, "MOST_ROWS", 10)
    assert score_sheet.score_sheet(run) is None and call("report", run).returncode == 0
    assert not (run / "scores.csv").exists() and (run / "most-exposed.csv").exists()
