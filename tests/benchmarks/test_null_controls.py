"""What controls leave of a difference: counted by draw, and put in tables."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import null_controls
from benchmarks.null_controls import BEGIN, END, Row, p_of, row, table
from benchmarks.nulls import CHANGES, Bank, Design, pool
from trainedon.attacks import parse_attacks
from trainedon.targets import load_target


@pytest.fixture
def drawn(tmp_path):
    """Forty pictures of noise, twenty of them as suspects."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(40)]
    for path in files:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    there = pool(files, CHANGES["nothing"], tmp_path / "nothing")
    return Design("nothing", ((there, 0, 20, "suspect"), (there, 20, 40, "unseen"))).case(0)


@pytest.mark.parametrize(
    ("of_control", "silent", "past"),
    [(lambda own, noise: own, 0, 0), (lambda own, noise: noise, 1, 1), (lambda own, noise: 0.9 * own + noise, 0, 0)],
    ids=["the same", "noise alone", "much of it"],
)
def test_a_difference_is_left_where_the_control_does_not_show_it(
    drawn, target_folders, tmp_path, of_control, silent, past
):
    case = drawn
    attack, control = parse_attacks("loss(t=100), sima", seed=0)
    bank = Bank(load_target(target_folders["epsilon"]), tmp_path, (attack, control))
    rng, own = np.random.default_rng(1), {}
    for picture in case.pictures:
        own[picture["sha256"]] = 2.0 * (picture["set"] == "suspect") + rng.normal()
    bank.known[repr(attack)] = own
    bank.known[repr(control)] = {key: of_control(value, rng.normal()) for key, value in own.items()}
    found = row("toy", attack, {"mirrored": control}, "nothing", [case, case], bank)
    assert (found.draws, found.found, found.silent["control model"]) == (2, 2, None)
    assert (found.silent["mirrored"], found.past["mirrored"]) == (2 * silent, 2 * past)


def test_the_p_value_is_that_of_suspects_scoring_higher():
    is_suspect = np.arange(60) < 30
    assert p_of(is_suspect + 0.001 * np.arange(60.0), is_suspect) < 1e-9
    assert p_of(-1.0 * is_suspect, is_suspect) > 0.999


def test_the_tables_sum_what_has_nothing_to_find_and_name_the_worst():
    def one(design, found, past, mirrored=None):
        return Row(
            "strong",
            "pia",
            design,
            100,
            found,
            {"control model": found, "mirrored": mirrored},
            {"control model": past, "mirrored": mirrored},
            None if design == "members" else past,
        )

    text = table([one("members", 90, 80), one("nothing", 1, 0), one("unseen mirrored", 5, 3), one("gamma 1.1", 9, 1)])
    assert "| strong | pia | members | 100 | 90.0 % | 90.0 % | 80.0 % | - |" in text
    assert "| strong | pia | 3 differences | 300 | 5.0 % | 5.0 % | 1.3 % | 1.3 % |" in text
    assert text.endswith("| strong | pia | unseen mirrored | 100 | 5.0 % | 5.0 % | 3.0 % | 3.0 % |")
    assert "| 1.0 % | 1.0 % | 1.0 % | 1.0 % | 1.0 % | 1.0 % |" in table([one("nothing", 1, 1, 1)])


@pytest.mark.slow
def test_scores_are_made_once_and_the_page_is_written(target_folders, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    page, out, model = tmp_path / "page.md", tmp_path / "out", str(target_folders["epsilon"])
    page.write_text(f"{BEGIN}\n{END}\n")
    arguments = [str(tmp_path), "--target", "toy", model, str(tmp_path), "--control", model, "--out", str(out)]
    arguments += [
        "--attacks",
        "sima",
        "--changes",
        "nothing;mirrored",
        "--mirrored",
        "--suspects",
        "10",
        "--others",
        "20",
    ]
    arguments += ["--pictures", "40", "--members", "40", "--draws", "5", "--page", str(page)]
    null_controls.main(arguments)
    scored = {path: path.read_bytes() for path in out.glob("*.json")}
    null_controls.main(arguments)
    assert scored and scored == {path: path.read_bytes() for path in out.glob("*.json")}
    assert "| toy | sima | 3 differences | 15 |" in page.read_text()
    capsys.readouterr()
