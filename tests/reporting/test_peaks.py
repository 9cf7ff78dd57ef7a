"""The section on the peaks hypothesis."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from trainedon.errors import UserError
from trainedon.evidence import Scores, to_json
from trainedon.evidence.studies.peaks import MOVES, RADII
from trainedon.evidence.studies.peaks import peaks as study_found
from trainedon.formats.run_record import StudyEntry
from trainedon.reporting.languages import untranslated
from trainedon.reporting.page import _environment
from trainedon.reporting.peaks_section import chart, peaks
from trainedon.reporting.run_folder import read
from trainedon.reporting.words import number


def studied(build, shift=1.5, n=40, moves=MOVES, radii=RADII):
    """Scores of a study in the builder, and its document."""
    rng = np.random.default_rng(1)
    study = [
        {"repr": f"Rise({move}, {radius})", "kind": "rise", "move": move, "radius": radius, "t": 100}
        for move in moves
        for radius in radii
    ] + [{"repr": "Curvature()", "kind": "curvature", "move": None, "radius": None, "t": 50}]
    for name in ("member", "unseen"):
        for i in range(n):
            for entry in study:
                score = (entry["radius"] or 1) * rng.normal(shift * (name == "member") + 1, 1)
                build.score(f"{name}-{i:02}.png", name, score, entry["kind"], attack_repr=entry["repr"])
    return study_found(Scores.from_rows(build.rows), [StudyEntry(**entry) for entry in study])


def section(build, document):
    """(what the template is given, the section as HTML)."""
    path = build.write()
    (path / "peaks.json").write_text(to_json(document))
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(
        json.dumps(record | {"study": [{"repr": "Curvature()", "kind": "curvature", "t": 50}]})
    )
    shown = peaks(read(path))
    return shown, _environment().get_template("peaks.html.j2").render(peaks=shown)


def test_a_run_without_the_document_has_no_section(evaluation):
    assert peaks(read(evaluation.write())) is None
    assert _environment().get_template("peaks.html.j2").render(peaks=None).strip() == ""


def test_every_move_has_a_chart_and_every_measurement_a_row(new_run):
    build = new_run("evaluate")
    document = studied(build)
    shown, html = section(build, document)
    root = ET.fromstring(html)
    charts = root.findall(".//svg")
    assert len(charts) == 3 and len(shown.lines) == len(root.findall(".//tbody/tr")) == 13
    for drawn in charts:
        assert [child.tag for child in drawn][:2] == ["title", "desc"] and drawn.get("role") == "img"
        assert len(drawn.findall("circle")) == 2 * len(RADII) + 2  # and two in the key
        assert {"".join(words.itertext()) for words in drawn.findall("text")} >= {"training", "unseen", "0.05", "0.4"}
    assert "".join(root.find("p").itertext()) == document.sentence
    assert "Noise, 0.05" in html and "Fading, 0.4" in html and "Curvature, timestep 50" in html
    assert "<script" not in html and "nan" not in html
    assert not (set(re.findall(r'style="', html)))


def test_means_stand_where_they_belong(new_run):
    """Members lie higher, on the scale that the ticks say."""
    document = studied(new_run("evaluate"))
    rows = [one for one in document.measurements if one.move == "noise"]
    root = ET.fromstring(str(chart("noise", rows)))
    ticks = [
        (float(words.text.replace("−", "-")), float(words.get("y")) - 4)
        for words in root.findall("text")
        if words.get("text-anchor") == "end"
    ]
    scores, places = np.array(ticks).T
    slope, offset = np.polyfit(scores, places, 1)
    dots = {kind: [c for c in root.findall("circle") if c.get("class") == f"dot {kind}"][:-1] for kind in "mu"}
    for kind, name in (("m", "member"), ("u", "unseen")):
        for dot, row in zip(dots[kind], rows, strict=True):
            assert float(dot.get("cy")) == pytest.approx(slope * getattr(row, name).mean + offset, abs=0.5)
    assert f"at 0.05 training {number(rows[0].member.mean)}" in root.find("desc").text


@pytest.mark.parametrize(("n", "radii"), [(1, (0.1,)), (2, (0.1, 0.2)), (40, (0.1,))])
def test_few_pictures_and_few_radii_are_drawn_as_far_as_they_go(new_run, n, radii):
    build = new_run("evaluate")
    shown, html = section(build, studied(build, n=n, radii=radii))
    ET.fromstring(html)
    assert len(shown.charts) == 3 and "nan" not in html


def test_what_was_not_scored_is_a_dash_and_has_no_chart(new_run):
    build = new_run("evaluate")
    studied(build, moves=("noise",), radii=(0.1, 0.2))
    study = [StudyEntry(repr="Rise(noise, 0.1)", kind="rise", move="noise", radius=0.1, t=100)]
    for row in build.rows:
        if row["set"] == "unseen":
            row |= {"score": None, "reason": "no answer"}
    shown, html = section(build, study_found(Scores.from_rows(build.rows), study))
    assert shown.charts == () and shown.lines[0].auc == shown.lines[0].p == shown.lines[0].unseen == "—"
    assert "Too few pictures could be scored" in html


def test_hostile_names_are_escaped_and_damage_is_said(new_run):
    build = new_run("evaluate")
    document = studied(build, moves=("<script>alert(1)</script>",), radii=(0.1,))
    _, html = section(build, document)
    assert "<script" not in html and "&lt;script" in html
    ET.fromstring(html)
    file = build.path / "peaks.json"
    for damage in ("{", json.dumps({"measurements": []})):
        file.write_text(damage)
        with pytest.raises(UserError, match="is damaged: write it again"):
            peaks(read(build.path))


@pytest.mark.parametrize("shift", [1.5, 0.0, -1.5])
def test_the_section_is_said_in_other_languages(new_run, shift):
    build = new_run("evaluate")
    html = section(build, studied(build, shift))[1]
    drawn = re.compile(r"at 0[.]|Mean rise|Bars are")  # the descriptions of drawings, which stay English
    for language in ("de", "fr"):
        assert [one for one in untranslated(html, language) if not drawn.match(one)] == []
