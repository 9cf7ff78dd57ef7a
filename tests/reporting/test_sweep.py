"""The section on a sweep."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from trainedon.errors import UserError
from trainedon.evidence import Scores, to_json
from trainedon.evidence import sweep as sweep_found
from trainedon.formats.run_record import CostEntry, SweepEntry
from trainedon.reporting.languages import untranslated
from trainedon.reporting.page import _environment
from trainedon.reporting.run_folder import read
from trainedon.reporting.sweep_section import AUC, TPR, chart, sweep

SWEPT = {"attack": "drc", "groups": [], "notes": []}  # what a record says of a sweep
NASTY = "<script>alert(1)</script>&\"'\u202e.png"


def scored(build, settings, axis=None, n=(40, 60), costs=(), notes=(), varied=None, lifts=None):
    """Scores of every setting in the builder (the k-th lifts members by `lifts[k]`, else 0.5 k), and the document."""
    rng = np.random.default_rng(2)
    easy = {"member": rng.normal(0, 1, n[0]), "unseen": rng.normal(0, 1, n[1])}
    for name, shared in easy.items():
        for i, ease in enumerate(shared):
            for k in range(len(settings)):
                lift = (0.5 * k if lifts is None else lifts[k]) * (name == "member")
                build.score(f"{name}-{i:03}.png", name, ease + lift + rng.normal(0, 0.3), attack_repr=f"DRC({k})")
    group = {"title": "What is best", "question": "Which is best?", "axis": axis, "varied": varied or [*settings[0]]}
    group |= {"settings": [{"setting": one, "repr": f"DRC({k})"} for k, one in enumerate(settings)]}
    plan = SweepEntry.model_validate({"attack": "drc-hide(steps=2)", "groups": [group], "notes": [*notes]})
    known = [
        CostEntry(attack=f"DRC({k})", forward_per_picture=cost, backward_per_picture=0) for k, cost in enumerate(costs)
    ]
    return sweep_found(Scores.from_rows(build.rows), plan, known)


def section(build, document):
    """(what the template is given, the section as HTML)."""
    path = build.write()
    (path / "sweep.json").write_text(to_json(document))
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(record | {"sweep": SWEPT}))
    shown = sweep(read(path))
    return shown, _environment().get_template("sweep.html.j2").render(sweep=shown)


def places(root, kind="point"):
    """(cx, cy) of every circle of one class."""
    circles = [c for c in root.findall("circle") if kind in c.get("class").split()]
    return np.array([[float(c.get(name)) for name in ("cx", "cy")] for c in circles])


def axis_of(root, anchor):
    """From the lettering of an axis to where its numbers lie: (numbers, places)."""
    place, across = ("y", False) if anchor == "end" else ("x", True)
    pairs = []
    for words in root.findall("text"):
        if words.get("text-anchor") == anchor and re.fullmatch(r"[\d.]+", words.text or ""):
            pairs.append((float(words.text), float(words.get(place)) - (0 if across else 4)))
    return np.array(pairs).T


def words_of(root):
    return ["".join(words.itertext()) for words in root.findall("text")]


def test_a_run_without_the_document_has_no_section(evaluation):
    assert sweep(read(evaluation.write())) is None
    assert _environment().get_template("sweep.html.j2").render(sweep=None).strip() == ""


def test_numbers_are_a_curve_whose_points_stand_where_they_belong(new_run):
    settings = [{"mask-ratio": ratio} for ratio in (0.1, 0.25, 0.5, 0.9)]
    document = scored(new_run("evaluate"), settings, "mask-ratio", lifts=(1, 2.2, 1.4, 0.5))
    (group,) = document.groups
    root = ET.fromstring(str(chart(group, AUC)))
    assert [child.tag for child in root][:2] == ["title", "desc"] and root.get("role") == "img"
    found = places(root)
    numbers, at = axis_of(root, "end")
    slope, offset = np.polyfit(numbers, at, 1)
    np.testing.assert_allclose(found[:, 1], [slope * point.auc + offset for point in group.points], atol=0.5)
    numbers, at = axis_of(root, "middle")
    assert list(numbers) == [0.1, 0.25, 0.5, 0.9]
    np.testing.assert_allclose(found[:, 0], at, atol=0.1)
    np.testing.assert_allclose(np.diff(at) / np.diff(numbers), (at[3] - at[0]) / 0.8, rtol=0.01)  # not equal steps
    assert len(root.findall("path[@class='whisker s0']")) == 4
    assert places(root, "ring").tolist() == [found[1].tolist()]
    assert "mask-ratio" in words_of(root) and f"mask-ratio 0.25: {group.points[1].auc:.3f}" in root.find("desc").text


def test_other_parameters_make_lines_of_their_own_with_a_key(new_run):
    settings = [{"steps": steps, "inverted": inverted} for steps in (5, 10, 100) for inverted in (False, True)]
    build = new_run("evaluate")
    shown, html = section(build, scored(build, settings, "steps"))
    root = ET.fromstring(html)
    (drawn,) = root.findall(".//figure/svg")
    strokes = {line.get("class") for line in drawn.findall("path") if line.get("class").startswith("curve")}
    assert strokes == {"curve s0 d0", "curve s1 d1"} and len(places(drawn)) == 6
    assert [label for _, label in shown.sections[0].keys] == ["not inverted", "inverted"]
    numbers, at = axis_of(drawn, "middle")
    steps = np.diff(np.log(numbers)) / np.diff(at)
    assert list(numbers) == [5, 10, 100] and steps[0] == pytest.approx(steps[1], rel=0.01)  # logarithmic
    assert [[cell.text for cell in row][:2] for row in root.findall(".//tbody/tr")][1] == ["5", "yes"]


def test_accuracy_against_cost_lies_along_the_passes(new_run):
    settings = [{"steps": steps, "restorations": r} for steps in (5, 10, 20) for r in (1, 2)]
    costs = [one["steps"] * one["restorations"] for one in settings]
    (group,) = scored(new_run("evaluate"), settings, "passes", costs=costs).groups
    root = ET.fromstring(str(chart(group, AUC)))
    assert "network passes a picture" in words_of(root)
    strokes = [line.get("class") for line in root.findall("path") if line.get("class").startswith("curve")]
    assert strokes == ["curve s0 d0", "curve s1 d1"]  # a line each for 1 and 2 restorations, along the steps
    xs = places(root)[:, 0].reshape(2, 3)
    assert (np.diff(xs, axis=1) > 20).all()
    (nothing,) = scored(new_run("evaluate"), settings, "passes").groups
    assert len(places(ET.fromstring(str(chart(nothing, AUC))))) == 6  # costs unknown: as words


def test_words_are_rows_of_dots(new_run):
    settings = [{"encoder": name} for name in ("own", "pixel", "own+efficientnet-lite0")]
    document = scored(new_run("evaluate"), settings)
    (group,) = document.groups
    root = ET.fromstring(str(chart(group, AUC)))
    assert [name for name in words_of(root) if name[0] in "op"] == ["own", "pixel", "own+efficientnet-lite0"]
    assert f"{group.points[2].auc:.3f}" in words_of(root)
    numbers, at = axis_of(root, "middle")
    slope, offset = np.polyfit(numbers, at, 1)
    found = places(root)
    np.testing.assert_allclose(found[:, 0], [slope * point.auc + offset for point in group.points], atol=0.5)
    assert (np.diff(found[:, 1]) > 20).all()
    assert places(root, "ring").tolist() == [found[2].tolist()]


def test_the_table_says_everything_and_marks_the_best(new_run):
    build = new_run("evaluate")
    settings = [{"t": t} for t in (50, 100, 200)]
    document = scored(build, settings, "t", costs=(1, 20, 3), lifts=(0.2, 3, 2.9), notes=("ssim is left out",))
    shown, html = section(build, document)
    root = ET.fromstring(html)
    (lines,) = (one.lines for one in shown.sections)
    (group,) = document.groups
    assert [line.best for line in lines] == [False, True, False]
    assert [row.get("class") for row in root.findall(".//tbody/tr")] == ["", "best", ""]
    assert lines[0].clear and not lines[2].clear and lines[1].behind == "highest"
    assert (lines[0].values, lines[0].passes, lines[1].passes) == (("50",), "1", "20")
    assert lines[0].auc[0] == f"{group.points[0].auc:.3f}" and " to " in lines[0].auc[1]
    assert lines[0].tpr == ("—", "") and group.points[0].tpr_1 is None
    assert "".join(root.find("p[@class='found']").itertext()) == group.sentence
    assert "ssim is left out" in html and "drc-hide(steps=2)" in html and "nan" not in html
    assert "<script" not in html and not re.findall(r'style="', html)


def test_the_rate_has_a_chart_where_it_can_be_estimated(new_run):
    build = new_run("evaluate")
    document = scored(build, [{"steps": 5}, {"steps": 10}], "steps", n=(50, 300))
    shown, _ = section(build, document)
    assert [one.title for one in shown.sections[0].charts] == ["AUC", "TPR at 1 % FPR"]
    (group,) = document.groups
    root = ET.fromstring(str(chart(group, TPR)))
    numbers, at = axis_of(root, "end")
    slope, offset = np.polyfit(numbers, at, 1)
    np.testing.assert_allclose(places(root)[:, 1], [slope * point.tpr_1 + offset for point in group.points], atol=0.5)
    few = new_run("evaluate")
    shown, _ = section(few, scored(few, [{"steps": 5}, {"steps": 10}], "steps"))
    assert [one.title for one in shown.sections[0].charts] == ["AUC"]


def test_guessing_is_drawn_where_it_is_near(new_run):
    settings = [{"steps": 5}, {"steps": 10}]
    near = chart(scored(new_run("evaluate"), settings, "steps", lifts=(0, 0.3)).groups[0], AUC)
    far = chart(scored(new_run("evaluate"), settings, "steps", lifts=(3, 4)).groups[0], AUC)
    assert 'class="chance"' in near and "guessing" in near and 'class="chance"' not in far


@pytest.mark.parametrize(
    ("settings", "axis"),
    [
        ([{"steps": 5}], "steps"),
        ([{"steps": 5}], None),
        ([{"steps": 5, "inverted": True}, {"steps": 9, "inverted": False}], "steps"),
        ([{"eta": 0.0}, {"eta": 1.0}], "eta"),
        ([{"seed": -3}, {"seed": 10**9}], "seed"),
        ([{"inverted": True}, {"inverted": False}], None),
    ],
)
@pytest.mark.parametrize("n", [(1, 1), (2, 3), (30, 30)])
def test_few_settings_and_few_pictures_are_drawn_as_far_as_they_go(new_run, settings, axis, n):
    build = new_run("evaluate")
    shown, html = section(build, scored(build, settings, axis, n=n))
    ET.fromstring(html)
    assert len(shown.sections[0].charts) == 1 and "nan" not in html


def test_what_was_not_scored_is_a_dash_and_has_no_chart(new_run):
    build = new_run("evaluate")
    scored(build, [{"steps": 5}, {"steps": 9}], "steps")
    build.rows = [row | {"score": None, "reason": "no answer"} for row in build.rows]
    again = {"title": "t", "question": "q?", "varied": ["steps"], "axis": "steps"}
    again |= {"settings": [{"setting": {"steps": s}, "repr": f"DRC({k})"} for k, s in enumerate((5, 9))]}
    plan = SweepEntry.model_validate({"attack": "drc", "groups": [again], "notes": []})
    document = sweep_found(Scores.from_rows(build.rows), plan)
    shown, html = section(build, document)
    assert shown.sections[0].charts == () and shown.sections[0].lines[0].auc[0] == "—"
    assert "Too few pictures could be scored" in html


def test_more_lines_than_there_are_strokes_are_counted(new_run):
    build = new_run("evaluate")
    settings = [{"steps": s, "encoder": f"own:{k}"} for k in range(26) for s in (1, 2)]
    shown, html = section(build, scored(build, settings, "steps", n=(8, 8)))
    assert shown.sections[0].left_out == 2 and len(shown.sections[0].keys) == 24
    assert "2 more lines not drawn" in html and len(ET.fromstring(html).findall(".//tbody/tr")) == 52


def test_hostile_names_are_escaped_and_damage_is_said(new_run):
    build = new_run("evaluate")
    settings = [{NASTY: f"{NASTY}{k}" * 30, "steps": k} for k in range(2)]
    for axis in (None, "steps", NASTY):
        document = scored(build, settings, n=(5, 5), notes=(NASTY,))
        told = {"title": NASTY, "question": NASTY, "sentence": NASTY, "axis": axis}
        group = document.groups[0].model_copy(update=told)
        _, html = section(build, document.model_copy(update={"groups": (group,), "attack": NASTY}))
        assert "<script" not in html and "&lt;script" in html and "\u202e" not in html
        assert NASTY * 3 not in ET.fromstring(html).find(".//tbody/tr/th").text  # shortened
        build.rows, build.inventory = [], []
    scored(build, settings, None, n=(5, 5))
    build.write()
    (build.path / "run.json").write_text(
        json.dumps(json.loads((build.path / "run.json").read_text()) | {"sweep": SWEPT})
    )
    for damage in ("{", json.dumps({"groups": []})):
        (build.path / "sweep.json").write_text(damage)
        with pytest.raises(UserError, match="is damaged: write it again"):
            sweep(read(build.path))


def test_a_sweep_has_a_link_and_no_section_on_agreement(new_run, page):
    build = new_run("evaluate")
    document = scored(build, [{"steps": 5}, {"steps": 10}], "steps", n=(30, 40))
    build.run["sweep"] = SWEPT
    build.path.mkdir(exist_ok=True)
    (build.path / "sweep.json").write_text(to_json(document))
    html = page(build)
    assert {"id": "sweep"} in [{"id": attrs.get("id")} for attrs in html.all("section")]
    assert "#sweep" in [attrs["href"] for attrs in html.all("a")]
    assert "Which pictures do the attacks agree on?" not in html.text


@pytest.mark.parametrize("lifts", [(0, 0, 0), (0, 1, 2), (1, 1, 1)])
def test_the_section_is_said_in_other_languages(new_run, lifts):
    build = new_run("evaluate")
    settings = [{"steps": 5}, {"steps": 10}, {"steps": 20}]
    document = scored(build, settings, axis="steps", costs=(5, 10, 20), lifts=lifts)
    html = section(build, document)[1]
    own = re.compile(r"What is best|Which is best|AUC of|TPR at 1 % FPR of|AUC against|TPR at 1 % FPR against|Bars are")
    for language in ("de", "fr"):
        assert [one for one in untranslated(html, language) if not own.match(one) and one != "steps"] == []
