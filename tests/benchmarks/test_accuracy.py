"""The table of all attacks: what is run, what the numbers are, and that the sentences say who is better."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from benchmarks import accuracy, peers
from benchmarks.accuracy import calibrated, collected, measured, publish
from benchmarks.accuracy_chart import named, passes, svg
from benchmarks.accuracy_page import (
    BEGIN,
    BEGIN_EACH,
    END_EACH,
    in_order,
    put,
    reported,
    sentences,
    summary,
    table,
    tally,
)
from benchmarks.standing import difference, rows
from benchmarks.targets import Known
from trainedon.attacks import Cost, parse_attacks
from trainedon.errors import UserError
from trainedon.evidence import Scores, evaluate_table
from trainedon.evidence.protocol.paired import scored_by_both
from trainedon.targets import load_target

TUNED = {"pia": "pia(t=50)", "loss": "loss(t=200)"}  # the second is also the paper's


@pytest.fixture
def tuned(monkeypatch):
    monkeypatch.setattr(peers, "CALIBRATED", TUNED)


@pytest.fixture
def one(target_folders, toy_pictures):
    return Known("toy", target_folders["epsilon"], toy_pictures["members"], toy_pictures["unseen"])


def row(attack, auc, *, setting="paper", peer=True, lead=None, **changes):
    """One row as accuracy.json has it."""
    low, high = (None, None) if auc is None else (max(0, auc - 0.05), min(1, auc + 0.05))
    usual = {"labels": False, "tpr": None, "tpr_ci": None, "needed": 299, "forward": 2, "backward": 0, "setup": 0}
    cells = {"attack": attack, "setting": setting, "peer": peer, "auc": auc, "auc_ci": [low, high], "lead": lead}
    return usual | cells | {"reported": []} | changes


def target(rows, name="toy"):
    facts = {"parameters": 450_000, "shape": [3, 16, 16], "prediction": "epsilon", "members": 20, "unseen": 30}
    return facts | {"name": name, "lead": peers.LEAD, "blind": None, "left_out": {}, "rows": rows}


LEAD = row(peers.LEAD, 0.8, setting="ours", peer=False, forward=43, backward=40)
BETTER = row("pia", 0.9, lead=[-0.1, -0.15, -0.05])
WORSE = row("sima(t=50)", 0.6, setting="calibrated", lead=[0.2, 0.1, 0.3])


# --- which attacks


def test_all_attacks_are_run_but_those_that_lack_something(tuned, target_without_attention):
    chosen, left_out = peers.choose(None, target_without_attention)
    kinds = [kind.name for kind in peers.attacks().values() if peers.works_alone(kind)]
    assert {attack.name for attack in chosen} | set(left_out) == {*kinds, "symmetric"}
    assert set(left_out) >= {"gsa", "lira", "rmia"} and "shadow models" in left_out["gsa"]
    assert {"secmi-nn", "logistic"} <= {attack.name for attack in chosen}
    assert len(chosen) == len(set(map(repr, chosen)))
    written = {repr(attack): peers.setting(attack) for attack in chosen}
    usual, other, both, ours = parse_attacks("pia, pia(t=50), loss, drc")
    assert [written[repr(attack)] for attack in (usual, other, both, ours)] == [
        "paper",
        "calibrated",
        "paper, calibrated",
        "ours",
    ]


def test_attacks_that_are_asked_for_are_all_that_is_run(tuned, target):
    chosen, left_out = peers.choose("loss(t=50), fremia", target)
    assert [peers.setting(attack) for attack in chosen] == ["given", "paper"] and not left_out
    assert not any(peers.is_peer(attack) for attack in parse_attacks("drc-fast, symmetric(pia), rise, logistic"))
    with pytest.raises(UserError, match="shadow models"):
        peers.choose("gsa", target)


def test_every_setting_that_is_tried_or_chosen_is_an_attack():
    specs = [spec for several in peers.GRID.values() for spec in several]
    assert len({repr(parse_attacks(spec)[0]) for spec in specs}) == len(specs)
    assert all(spec in peers.GRID[peer] for peer, spec in peers.CALIBRATED.items())


def test_the_highest_mean_is_picked():
    grid = {"loss": ("loss(t=10)", "loss(t=30)")}
    aucs = {"loss(t=10)": {"a": 0.9, "b": 0.5}, "loss(t=30)": {"a": 0.7, "b": 0.8}}
    assert peers.pick(aucs, grid) == {"loss": "loss(t=30)"}
    text = peers.calibration_markdown(aucs, grid)
    assert "| `loss(t=10)` | 0.900 | 0.500 | 0.700 |" in text
    assert "| **`loss(t=30)`** | 0.700 | 0.800 | 0.750 |" in text
    assert '    "loss": "loss(t=30)",' in text


def test_what_drc_means_depends_on_the_model(target_folders):
    leads = [peers.lead(load_target(target_folders[kind])) for kind in ("epsilon", "latent, KL")]
    assert leads == [peers.LEAD, "drc-latent"]


# --- numbers


def known_scores(**attacks):
    """Scores of three members and two unseen pictures."""
    pictures = [("m1", "member"), ("m2", "member"), ("m3", "member"), ("u1", "unseen"), ("u2", "unseen")]
    return Scores.from_rows(
        {
            "picture": picture,
            "set": name,
            "score": score,
            "attack": attack,
            "attack_repr": repr(parse_attacks(attack)[0]),
        }
        for attack, scores in attacks.items()
        for (picture, name), score in zip(pictures, scores, strict=True)
    )


def test_rows_from_known_scores():
    scores = known_scores(loss=[1, 2, 0, 1.5, 0.5], drc=[3, 2, 1, 0, 0.5], pia=[None, 2, 0, 1, 3])
    attacks = parse_attacks("loss, drc, pia")
    costs = {repr(attack): Cost(n, 1) for n, attack in enumerate(attacks)}
    found = rows(evaluate_table(scores), scores, attacks, costs)
    assert [(row["attack"], row["auc"]) for row in found] == [(peers.LEAD, 1.0), ("loss", 0.5), ("pia", 0.25)]
    assert [row["forward"] for row in found] == [1, 0, 2] and found[0]["lead"] is None
    assert [row["lead"][0] for row in found[1:]] == [0.5, 0.75]  # the second over the pictures that both scored
    assert all(row["lead"][1] <= row["lead"][0] <= row["lead"][2] for row in found[1:])
    assert found[1]["reported"][0]["auc"] == 0.718
    assert found[0]["tpr"] is None and found[0]["needed"] == 299
    json.dumps(found, allow_nan=False)


def test_attacks_without_a_picture_in_common_are_not_compared():
    scores = known_scores(loss=[None, 2, 0, 1.5, 0.5], drc=[3, None, None, 0, 0.5])
    assert scored_by_both(scores, *scores.attacks, ("member", "unseen")) is None
    attacks = parse_attacks("loss, drc")
    found = rows(evaluate_table(scores), scores, attacks, {repr(attack): Cost(1) for attack in attacks})
    assert [row["lead"] for row in found] == [None, None]
    assert "no picture in common" in " ".join(sentences(found, peers.LEAD))


def test_the_error_of_a_difference_is_delongs():
    rng = np.random.default_rng(0)
    base = rng.normal(size=60)
    first, second = ((one[:25] + 0.8, one[25:]) for one in (base, base + 0.5 * rng.normal(size=60)))
    placed = []
    for members, unseen in (first, second):
        above = (members[:, None] > unseen[None]).astype(float)
        placed.append((above.mean(1), above.mean(0)))
    variance = 0.0
    for side, n in ((0, 25), (1, 35)):
        (a, b) = (one[side] for one in placed)
        covariance = np.cov(a, b)
        variance += (covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) / n
    value, low, high = difference(first, second, 0.95)
    assert value == pytest.approx(placed[0][0].mean() - placed[1][0].mean())
    assert 1.96 < (high - low) / 2 / np.sqrt(variance) < 2.1  # Student's t
    assert difference(second, first, 0.95) == pytest.approx((-value, -high, -low))
    wide = difference(first, second, 0.999)
    assert wide[1] < low and wide[2] > high


def test_equal_attacks_have_an_interval_that_pictures_allow():
    members, unseen = np.arange(3.0), np.arange(-3.0, 0)
    value, low, high = difference((members, unseen), (2 * members, 2 * unseen), 0.95)
    assert value == 0 and -1 < low < -0.5 and 0.5 < high < 1


# --- the page


def test_a_peer_that_is_better_is_said_to_be():
    said = " ".join(sentences([BETTER, LEAD, WORSE], peers.LEAD))
    assert "Highest AUC: `pia` (paper), 0.900. `drc@2` is number 2 of 3." in said
    assert "`drc@2` trails the best peer at its paper's setting, `pia` (0.900) by 0.100 (0.050 to 0.150)." in said
    assert (
        "`drc@2` leads the best peer at a calibrated setting, `sima(t=50)` (0.600) by 0.200 (0.100 to 0.300)." in said
    )
    assert "Peers better than `drc@2` beyond chance: `pia` by 0.100." in said


def test_where_drc_is_ahead_or_chance_could_be_it_that_is_said():
    said = " ".join(sentences([LEAD, WORSE], peers.LEAD))
    assert "`drc@2` is number 1 of 2." in said and "No peer at its paper's setting was run." in said
    assert "No peer has a higher AUC than `drc@2`." in said
    near = row("secmi-nn", 0.82, lead=[-0.02, -0.06, 0.02], labels=True)
    said = " ".join(sentences([near, LEAD], peers.LEAD))
    assert (
        "`drc@2` is not told apart from the best peer at its paper's setting, `secmi-nn` (0.820, which learns" in said
    )
    assert "difference -0.020 (-0.060 to +0.020)" in said
    assert "Peers higher, but within chance: `secmi-nn` by 0.020." in said and "beyond chance" not in said
    same = row("pia", 0.8, lead=[0, -0.1, 0.1])
    assert "`drc@2` is level with the highest." in " ".join(sentences([same, LEAD], peers.LEAD))
    assert "`drc@2` was not run." in sentences([BETTER], peers.LEAD)
    assert sentences([row(peers.LEAD, None)], peers.LEAD) == ["No attack has a score."]


def test_cells_of_the_table():
    found = row("secmi", 0.9, tpr=0.5, tpr_ci=[0.4, 0.6], forward=11, lead=[-0.1, -0.15, -0.05])
    last = row("gan-leaks", None, forward=0, setup=20000, labels=True)
    lines = table(target([found, LEAD, last])).splitlines()
    assert lines[0].endswith("| AUC | TPR@1 % | forward | backward | `drc@2` has more |")
    assert lines[2] == (
        "| `secmi` | paper | 0.900 (0.850 to 0.950) | 0.500 (0.400 to 0.600) | 11 | 0 | -0.100 (-0.150 to -0.050) |"
    )
    assert lines[3].endswith("| not estimable | 43 | 40 | - |")
    assert "| paper, learns from labels | not scored |" in lines[4] and "| 0 + 20000 once | 0 | - |" in lines[4]
    assert "TPR" not in table(target([LEAD, last]))


def test_one_table_has_a_row_a_target_and_a_column_an_attack():
    latent = target(
        [row("drc-latent", 0.7, peer=False, forward=16), row("pia", 0.6, lead=[0.1, 0, 0.2])], "moji-dit@80"
    )
    latent["lead"] = "drc-latent"
    targets = in_order([target([BETTER, LEAD, WORSE], "faces-flip@150"), target([LEAD, WORSE], "b"), latent])
    assert [one["name"] for one in targets] == ["b", "moji-dit@80", "faces-flip@150"]
    lines = summary(targets).splitlines()
    assert lines[0] == ("| target |  | `drc`<br>16 to 123 | `sima(t=50)`<br>2 | `pia`<br>2 | `drc` minus best peer |")
    assert lines[2:] == [
        "| `b` | measured | **0.800** | 0.600 | - | +0.200 (+0.100 to +0.300) |",
        "| `moji-dit@80` | measured | **0.700** | - | 0.600 | +0.100 (+0.000 to +0.200) |",
        "| `faces-flip@150` | tuning | 0.800 | 0.600 | **0.900** | -0.100 (-0.150 to -0.050) |",
    ]


def test_only_targets_without_a_part_in_a_choice_are_counted():
    targets = [target([BETTER, LEAD, WORSE], "a"), target([LEAD, WORSE], "b"), target([BETTER, LEAD], "moji-v@120")]
    said = tally(targets)
    assert (
        "Of 1 measured targets `drc` leads the best peer at its paper's setting beyond chance on 0, trails it" in said
    )
    assert "Of 2 measured targets `drc` leads the best peer at a calibrated setting beyond chance on 2" in said


def test_what_papers_report_stands_once():
    figures = [{"data": "cifar10", "auc": 0.881, "asr": 0.811, "tpr_1": 0.091, "note": ""}]
    one = target([row("secmi", 0.9, reported=figures), LEAD])
    assert "`secmi`: cifar10 .881, .091." in reported([one, one]) and not reported([target([LEAD])])


def test_only_the_marked_parts_of_a_page_are_written(tmp_path):
    page = tmp_path / "page.md"
    put([target([BETTER, LEAD])], "page.svg", page)
    head, _, rest = page.read_text().partition(BEGIN_EACH)
    page.write_text(f"before\n\n{head}between\n\n{BEGIN_EACH}{rest}\nafter\n")
    put([target([LEAD])], "page.svg", page)
    text = page.read_text()
    assert text.startswith(f"before\n\n{BEGIN}\n") and text.endswith(f"{END_EACH}\n\nafter\n")
    assert "between\n" in text and "`pia`" not in text and "| `drc@2` |" in text and "### toy\n" in text
    page.write_text(f"{BEGIN_EACH}\n{END_EACH}\n")
    with pytest.raises(UserError, match="to write between"):
        put([target([LEAD])], "page.svg", page)
    assert page.read_text() == f"{BEGIN_EACH}\n{END_EACH}\n"


# --- the figure


def test_the_figure_holds_every_attack_and_is_well_formed():
    rows = [BETTER, LEAD, WORSE, row("a<b", 0.3), row("gan-leaks", 0.55, forward=0, setup=20000), row("none", None)]
    tree = ElementTree.fromstring(svg([target(rows), target([LEAD], "<other>"), target([], "empty")]))
    titles = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert "a<b, paper: 0.300" in titles and "gan-leaks, paper: 0.550" in titles
    assert not any("none" in title for title in titles)
    assert all("nan" not in value for element in tree.iter() for value in element.attrib.values())
    assert passes(rows[4], 50) == 400 and passes(LEAD, 50) == 123
    assert [one["attack"] for one in named([BETTER, LEAD, WORSE, rows[3]], 50)] == ["pia", peers.LEAD, "sima(t=50)"]


# --- the command


def test_a_command_that_stopped_goes_on(one, tmp_path, monkeypatch):
    from trainedon.runs.scoring.scorer import Scorer

    scored, usual = [], Scorer._score

    def score(scorer, task, number, *rest):
        scored.append(scorer._attacks[number].name)
        return usual(scorer, task, number, *rest)

    def stop_at_the_second(scorer, *rest):
        if len(scored) == 1:
            raise KeyboardInterrupt
        return score(scorer, *rest)

    asked = "loss, pia, drc-hide(steps=2, restorations=1)"
    monkeypatch.setattr(Scorer, "_score", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        measured(one, tmp_path, asked, 8, "cpu")
    monkeypatch.setattr(Scorer, "_score", score)
    found = measured(one, tmp_path, asked, 8, "cpu")
    assert scored == ["loss", "pia", "drc-hide"]
    assert measured(one, tmp_path, asked, 8, "cpu") == found and len(scored) == 3
    assert (found["members"], found["unseen"], len(found["rows"])) == (8, 8, 3)
    assert (tmp_path / "toy" / "report.html").exists()


def test_targets_of_earlier_commands_stay(tmp_path):
    collected([target([LEAD], "a")], tmp_path)
    collected([target([LEAD], "b")], tmp_path)
    both = collected([target([BETTER, LEAD], "a")], tmp_path)
    assert [(one["name"], len(one["rows"])) for one in both] == [("a", 2), ("b", 1)]
    publish(both, tmp_path / "page.md")
    assert "![AUC against passes a picture](page.svg)" in (tmp_path / "page.md").read_text()
    assert (tmp_path / "page.svg").exists()


def test_calibration_takes_the_best_step_of_each_peer(one, tmp_path):
    grid = {"loss": ("loss(t=10)", "loss(t=300)"), "sima": ("sima(t=10)", "sima(t=100)")}
    text = calibrated([one], tmp_path, 8, "cpu", grid)
    document = json.loads((tmp_path / "toy" / "evaluation.json").read_text())
    aucs = [attack["auc"] for attack in document["attacks"]]
    best = grid["loss"][int(aucs[1] > aucs[0])]
    assert f'    "loss": "{best}",' in text and f"**`{best}`**" in text
    assert (tmp_path / "calibration.md").read_text() == text


def test_the_whole_command(target_folders, toy_pictures, tmp_path, monkeypatch, capsys):
    spec = f"toy={target_folders['epsilon']}:{toy_pictures['members']}:{toy_pictures['unseen']}"
    arguments = ["accuracy", "--out", str(tmp_path / "out"), "--targets", spec, "--limit", "8", "--attacks"]
    page = tmp_path / "page.md"
    monkeypatch.setattr("sys.argv", [*arguments, "loss, pia", "--markdown", str(page)])
    accuracy.main()
    assert {"accuracy.json", "toy"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert "| `pia` | paper |" in page.read_text()
    page.write_text("mine")
    monkeypatch.setattr("sys.argv", [*arguments, "sima", "--markdown", str(page)])
    with pytest.raises(SystemExit):
        accuracy.main()
    assert page.read_text() == "mine" and "to write between" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", [*arguments, "loss, pia", "--calibrate", "--targets", spec])
    with pytest.raises(SystemExit) as stopped:
        accuracy.main()
    assert stopped.value.code == 2 and "two targets have one name" in capsys.readouterr().err
