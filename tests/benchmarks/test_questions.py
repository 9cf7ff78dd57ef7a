"""The page of the paper's questions says what sweeps found."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks.questions import BEGIN, END, main, page, read
from trainedon.errors import UserError
from trainedon.runs import Plan, run
from trainedon.sweeps.grid import plan
from trainedon.targets import load_target


@pytest.fixture(scope="module")
def swept(target_folders, toy_pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "run"
    attack = "drc-hide(steps=1, restorations=1, encoder=pixel)"
    grid = plan(attack, ["mask-ratio=0.1,0.25"], ["inverted"], ["gradients"])
    sets = {"member": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    target = load_target(target_folders["epsilon"])
    run(target, Plan("evaluate", sets, grid.attacks, sweep=grid.entry()), out, lambda what, done, total: None)
    return out


def test_every_setting_of_every_model_is_told_and_drawn(swept):
    sweeps = dict(map(read, [f"one={swept}", f"t<o={swept}"]))
    text, figures = page(sweeps, "figures")
    assert BEGIN not in text and END not in text
    first, second = sweeps["one"].groups
    assert text.count("\n## ") == len(figures) == 2
    for point in (*first.points, *second.points):
        assert text.count(f"{point.auc:.3f}") >= 2  # once a model
    best = max(point.auc for point in first.points)
    assert f"**{best:.3f}**" in text and first.sentence in text
    for name, svg in figures.items():
        assert f"figures/{name}" in text
        root = ET.fromstring(svg)
        assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 2 and "t<o" in "".join(root.itertext())


def test_only_what_is_between_the_marks_is_replaced(swept, tmp_path):
    where = tmp_path / "page.md"
    where.write_text(f"before\n{BEGIN}\n1999\n{END}\nafter\n")
    main(["--page", str(where), f"toy={swept}"])
    text = where.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "1999" not in text and "toy" in text
    assert len(list((tmp_path / "questions").glob("*.svg"))) == 2


@pytest.mark.parametrize("text", ["name", "=folder", "name="])
def test_a_sweep_is_a_name_and_a_folder(text):
    with pytest.raises(UserError, match="write NAME=FOLDER"):
        read(text)


def test_a_folder_without_a_sweep_is_named(tmp_path):
    with pytest.raises(UserError, match="no finished sweep"):
        read(f"name={tmp_path}")
