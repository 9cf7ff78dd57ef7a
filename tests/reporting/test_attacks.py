"""Many attacks on one page: labels, order, reported figures, and what they agree on."""

import re

import numpy as np
import pytest

from trainedon.exports.attack_sheet import attack_latex, attack_sheet
from trainedon.reporting.agreement_section import coefficient
from trainedon.reporting.run_folder import read


def section(html, start, end):
    return html.text[html.text.index(start) : html.text.index(end, html.text.index(start))]


def test_attacks_stand_by_auc_under_the_labels_of_the_run(crowd, page):
    html = page(crowd)
    labels = crowd.run["labels"]
    expected = sorted(crowd.document["attacks"], key=lambda attack: -attack["auc"])
    legend = section(html, "Attack AUC TPR at 1 % FPR", "training pictures (80)")
    places = [
        legend.index(f"{i} {labels[a['repr']]}") for i, a in enumerate(expected, 1) if len(labels[a["repr"]]) < 36
    ]
    assert places == sorted(places) and len(places) == 19
    assert f"1 {labels[expected[0]['repr']]} {expected[0]['auc']:.3f}" in legend
    table = section(html, "All attacks", "NFE: evaluations")
    assert table.index("fremia(loss)") != table.index("fremia(pia)")
    assert f"These numbers are those of the strongest of 20 attacks, {labels[expected[0]['repr']]} ;" in html.text


def test_without_labels_equal_names_are_numbered(crowd, page):
    del crowd.run["labels"]
    text = page(crowd).text
    assert "fremia 1" in text and "fremia 2" in text and "secmi 1" not in text


def test_reported_figures_stand_below_measured_ones(crowd, page):
    html = page(crowd)
    auc = {attack["name"]: attack["auc"] for attack in crowd.document["attacks"]}
    table = section(html, "All attacks", "NFE: evaluations")
    assert re.search(rf"secmi {auc['secmi']:.3f} [\d. to]+ reported 0.881 [\d.]+ % reported 81.1 % ", table)
    assert "reported 9.1 %" in table
    assert table.count("reported") == 4
    assert "arXiv 2305.14542 for cifar10" in html.text
    assert "arXiv 2302.01316 for cifar10 (as given there)" in html.text


def test_nothing_is_said_of_papers_where_nothing_is_reported(crowd, page):
    crowd.run["reported"] = []
    assert "reported" not in page(crowd).text.lower()


def test_set_up_passes_are_mentioned_where_there_are_any(crowd, page):
    text = page(crowd).text
    assert text.count("forward passes once a model") == 1
    assert "16 forward passes of the network a picture, and 2 048 forward passes once a model" in text


def test_what_is_long_is_folded_away(crowd, page):
    raw = page(crowd)
    source = (crowd.path / "report.html").read_text("utf-8")
    assert source.count("<details") == source.count("</details>")
    outside = re.sub(r"<details[^>]*>.*?</details>", "", source, flags=re.DOTALL)
    assert outside.count("chart histogram") == 1
    assert source.count("chart histogram") == 20
    assert not [name for name in crowd.run["labels"] if name.replace("'", "&#39;") in outside]
    assert all(name in raw.text for name in crowd.run["labels"])
    assert len(source) < 1_000_000


def test_scores_come_before_pictures_in_an_evaluation_alone(crowd, page):
    text = page(crowd).text
    parts = ["The scores", "Which pictures do the attacks agree on?", "The training pictures, strongest first"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_an_audit_shows_its_pictures_first_and_no_agreement(audit, page):
    text = page(audit).text
    assert text.index("The suspect pictures, strongest first") < text.index("The scores")
    assert "agree on" not in text


def test_the_table_of_correlations_is_the_document_s(crowd, page):
    html = page(crowd)
    agreement, labels = crowd.document["agreement"], crowd.run["labels"]
    expected = sorted(crowd.document["attacks"], key=lambda attack: -attack["auc"])
    order = [agreement["attacks"].index(attack["repr"]) for attack in expected]
    matrix = np.array(agreement["spearman"])[np.ix_(order, order)]
    first = " ".join(coefficient(value) for value in matrix[0, 1:])
    heat = section(
        html, "Rank correlation" if "Rank correlation" in html.text else "Do they put", "How many attacks name"
    )
    assert f"1 {labels[expected[0]['repr']]} {first} 2 " in heat
    cells = [attrs for attrs in html.all("td") if re.fullmatch(r"[wk]\d+|same", attrs.get("class", ""))]
    assert len(cells) == 400
    i, j = np.unravel_index(np.argmin(matrix), matrix.shape)
    least = {labels[expected[i]["repr"]], labels[expected[j]["repr"]]}
    assert set(re.search(r"least alike (.*?) \(", html.text)[1].split(" and ")) == least


def test_counts_and_pictures_are_the_document_s(crowd, page):
    html = page(crowd)
    agreement = crowd.document["agreement"]
    counts = agreement["named_by"]["member"]
    table = section(html, "Attacks that name it", "Training pictures named by the most")
    for k, n in enumerate(counts):
        if n:
            assert f"{'none' if k == 0 else k} {n} ({100 * n / 80:.1f}".removesuffix(".0") in table
    most = section(html, "Training pictures named by the most attacks", "Training pictures named by one attack alone")
    shown = re.findall(r"(member-\d+\.png) by (\d+) of 20", most)
    by = {one["picture"]: len(one["by"]) for one in agreement["pictures"]}
    assert len(shown) == 12
    assert [by[name] for name, _ in shown] == [int(k) for _, k in shown] == sorted(by.values(), reverse=True)[:12]
    one = section(html, "Training pictures named by one attack alone", "Training pictures that no attack names")
    labels = [crowd.run["labels"][name] for name in agreement["attacks"]]
    for name, label in re.findall(r"(member-\d+\.png) by (\S+)", one):
        found = next(entry for entry in agreement["pictures"] if entry["picture"] == name)
        assert labels[found["by"][0]].startswith(label) and len(found["by"]) == 1
    none = section(html, "Training pictures that no attack names", "The pictures")
    assert {by[name] for name in re.findall(r"member-\d+\.png", none)} <= {0}


def test_members_that_are_not_listed_are_counted(crowd, page):
    agreement = crowd.document["agreement"]
    counts = agreement["named_by"]["member"]
    agreement["pictures"], agreement["n_not_listed"] = agreement["pictures"][:3], len(agreement["pictures"]) - 3
    text = page(crowd).text
    assert f"3 of {sum(counts[2:])}, the most often named first." in text
    assert f"{counts[0]}, which are in scores.parquet alone." in text


def test_pictures_that_were_kept_are_shown(crowd, page):
    before = len(page(crowd).all("img"))
    for path in crowd.path.rglob("evidence.json"):
        path.unlink()
    html = page(crowd)
    assert html.all("img") == [] and before > 0
    assert "picture not kept" not in html.text
    assert "by 6 of 20" in html.text


def test_too_few_unseen_pictures_to_name_any(crowd, page):
    agreement = crowd.document["agreement"]
    agreement |= {"fpr": None, "naming": [], "named_by": None, "pictures": []}
    text = page(crowd).text
    assert "Too few unseen pictures were scored to say of any picture that an attack names it." in text
    assert "Do they put the pictures in the same order?" in text


def test_an_attack_that_cannot_name_is_said_so(crowd, page):
    crowd.document["agreement"]["naming"].remove(0)
    assert "Too few unseen pictures were scored to name any with: drc." in page(crowd).text


def test_an_older_document_has_no_such_section(crowd, page):
    del crowd.document["agreement"]
    html = page(crowd)
    assert "agree on" not in html.text
    assert "#agreement" not in {attrs["href"] for attrs in html.all("a")}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.874, ".87"), (-0.051, "−.05"), (1.0, "1"), (0.999, "1"), (-1.0, "−1"), (0.001, ".00"), (-0.001, ".00")],
)
def test_coefficients_have_two_digits(value, text):
    assert coefficient(value) == text


def test_undefined_correlations_are_dashes(crowd, page):
    matrix = crowd.document["agreement"]["spearman"]
    for i in range(20):
        matrix[0][i] = matrix[i][0] = None
    html = page(crowd)
    assert html.text.count("— —") > 5
    assert not {"nan", "none", "null"} & set(section(html, "Do they put", "How many").lower().split())
    assert coefficient(None) == "—"


def test_backward_passes_stand_beside_forward_ones_in_every_table(evaluation, page):
    evaluation.run["costs"] = [{"attack": "DRC(t=100)", "forward_per_picture": 40, "backward_per_picture": 30}]
    run = read(evaluation.write())
    head, *rows = [line.split(",") for line in attack_sheet(run.record, run.document)]
    assert head[-1].strip() == "backward_passes" and [row[-1].strip() for row in rows] == ["30", ""]
    assert [float(row[head.index("passes")]) for row in rows] == [40, 40]
    body = "".join(attack_latex(run.record, run.document)).partition(r"\midrule")[2]
    assert [line.split("&")[-1].split()[0] for line in body.splitlines() if "&" in line] == ["40+30", "40"]
    assert " 60 60 0 40+30 " in page(evaluation).text
