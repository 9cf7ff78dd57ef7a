"""Audits of pictures that no model was trained on: what is drawn and changed, and which control stopped what."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import nulls
from benchmarks.nulls import BEGIN, CHANGES, END, Design, counts, pool, table


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Faces of nobody, 32 pixels, named by numbers: one folder of 60, one of 24."""
    rng = np.random.default_rng(0)
    folders = []
    for name, n in (("unseen", 60), ("members", 24)):
        folders.append(tmp_path_factory.mktemp(name))
        for number in range(n):
            small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            small.resize((32, 32), Image.Resampling.BICUBIC).save(folders[-1] / f"{number:03d}.png")
    return folders


@pytest.fixture
def image(pictures):
    return Image.open(sorted(pictures[0].glob("*.png"))[0]).convert("RGB")


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_keeps_the_size_and_changes_little(image, name):
    rng = np.random.default_rng(2)
    plain, changed = (np.asarray(CHANGES[one](image, rng), float) for one in ("nothing", name))
    assert changed.shape == (16, 16, 3)
    assert (changed != plain).any() == (name != "nothing")
    if name == "mirrored":
        changed = changed[:, ::-1]
    assert np.corrcoef(plain.ravel(), changed.ravel())[0, 1] > 0.3


def test_a_move_by_pixels_is_one(image):
    plain, two = (
        np.asarray(CHANGES[name](image, np.random.default_rng(0))) for name in ("nothing", "moved by 2 pixels")
    )
    np.testing.assert_allclose(plain[:, 6:12].astype(float), two[:, 4:10], atol=2)


def test_a_draw_takes_no_picture_twice_and_puts_each_in_its_set(pictures, tmp_path):
    files = sorted(pictures[0].glob("*.png"))[:12]
    plain, changed = (pool(files, CHANGES[name], tmp_path / name) for name in ("nothing", "contrast -10 %"))
    design = Design("x", ((changed, 0, 4, "suspect"), (plain, 4, 12, "unseen")))
    case = design.case(0)
    names = [picture["picture"] for picture in case.pictures]
    assert len(set(names)) == 12
    assert [picture["set"] for picture in case.pictures] == ["suspect"] * 4 + ["unseen"] * 8
    assert names != [picture["picture"] for picture in design.case(1).pictures]
    digests = {item.sha256 for item in changed.items}
    assert [picture["sha256"] in digests for picture in case.pictures] == [True] * 4 + [False] * 8
    assert {*case.features.vectors} == {(picture["set"], picture["picture"]) for picture in case.pictures}
    there = next(i for i, item in enumerate(changed.items) if item.picture == names[0])
    item = changed.items[there]
    assert case.features.vectors["suspect", names[0]] is changed.features.vectors[item.set, item.picture]


def test_controls_are_counted_one_after_the_other():
    past = [[], ["mirrored"], ["control model"], ["mirrored", "control model"], ["unseen"]]
    assert [*counts({"draws": 9, "found": 7, "past": past}).values()] == [7, 4, 2, 2]


def test_the_tables_part_true_audits_from_those_with_nothing_to_find():
    rows = {
        "weak|pia|members": {"draws": 10, "found": 10, "past": [[]] * 10},
        "weak|pia|nothing": {"draws": 10, "found": 0, "past": []},
        "weak|pia|suspects mirrored": {"draws": 10, "found": 3, "past": [["not asked"]]},
        "strong|pia|suspects mirrored": {"draws": 10, "found": 1, "past": [["mirrored"]]},
    }
    text = table(rows)
    assert "| weak | pia | members | 10 | 10 (0.692-1.000) | 10" in text
    assert "| weak | pia | 20 | 3 (0.032-0.379) | 1 (0.001-0.249) | at most 1 (0.001-0.249) | at most 1" in text
    assert "| strong | pia | 10 | 1 (0.003-0.445) | 1 (0.003-0.445) | 0 (0.000-0.308) | 1 (0.003-0.445) |" in text
    assert "| suspects mirrored | 20 | 4 (0.057-0.437) | 2" in text and "| nothing |" not in text


@pytest.mark.slow
def test_whole_audits_are_made_once(pictures, target_folders, tmp_path, capsys):
    unseen, members = pictures
    page, out = tmp_path / "page.md", tmp_path / "out"
    page.write_text(f"{BEGIN}\n{END}\n")
    out.mkdir()
    arguments = [str(unseen), "--target", "toy", str(target_folders["epsilon"]), str(members), "--out", str(out)]
    arguments += ["--control", str(target_folders["epsilon"]), "--attacks", "loss(t=100), sima", "--cdi"]
    arguments += ["--changes", "nothing;contrast -10 %", "--suspects", "12", "--others", "40", "--pictures", "60"]
    arguments += ["--members", "24", "--draws", "2", "--page", str(page)]
    nulls.main(arguments)
    first = capsys.readouterr().out
    assert first.count("{'found'") == 3 * 5 and len([*out.glob("row-*.json")]) == 3 * 5
    nulls.main(arguments)
    again = capsys.readouterr().out
    assert "{'found'" not in again and again.strip() in page.read_text()
