"""Audits without unseen pictures: every picture against its own mirror image, from the command to the page."""

import csv
import json

import pytest
from PIL import Image

import trainedon as to
from trainedon.errors import UserError
from trainedon.evidence import Audit

CPU = to.Machine(device="cpu", batch_size=8)
FEW = to.Choices(limit=14)


@pytest.fixture(scope="module")
def audit(target_folders, toy_pictures):
    def audit(**asked):
        return to.audit(
            target_folders["epsilon"],
            toy_pictures["members"],
            **{"attacks": "loss", "choices": FEW, "machine": CPU} | asked,
        )

    return audit


def test_each_picture_is_compared_with_its_mirror_image(audit, tmp_path):
    found, out = audit(attacks="loss, drc(steps=2, restorations=1)", out=tmp_path / "run"), tmp_path / "run"
    record = json.loads((out / "run.json").read_text())
    loss, drc = record["identity"]["attacks"]
    assert loss.startswith("SymmetryCalibrated(attack=Loss(")
    assert "symmetries=('mirror',)" in loss
    assert "symmetries=('mirror',)" in drc
    assert "share=1.0" in drc
    assert (record["identity"]["lead"], record["choices"]["lead"], found.lead) == ("mirror", "mirror", "mirror")
    assert [one.mirror.n for one in found.attacks] == [14, 14]
    assert found.mirror == found.attacks[0].mirror
    assert found.chirality.n == 14
    assert "mirror images" in found.claim.because
    assert all(check.ok is not False for check in to.verify(out))
    before = (out / "audit.json").read_bytes(), (out / "report.html").read_bytes()
    to.report(out)
    assert ((out / "audit.json").read_bytes(), (out / "report.html").read_bytes()) == before
    assert Audit.model_validate_json(before[0]).claim == found.claim


def test_tables_hold_the_test_that_the_claim_speaks_of(audit, tmp_path):
    found, run = audit(attacks="loss, pia(t=10)", out=tmp_path / "run"), tmp_path / "run"
    to.report(run, csv=True, latex=True)
    with (run / "attacks.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert [row["attack"] for row in rows] == [one.repr for one in found.attacks]
    for row, one in zip(rows, found.attacks, strict=True):
        test = one.mirror
        counts = (row["view"], int(row["ahead"]), int(row["n"]), int(row["suspects"]))
        assert counts == (test.view, test.n_positive, test.n, one.n_suspects)
        assert tuple(float(row[name]) for name in ("share", "share_low", "share_high")) == (test.share, *test.share_ci)
        told = [float(row[name]) for name in ("p_value", "p_value_holm", "odds")]
        assert told == [test.p_value, test.p_value_holm, test.odds]
    lines = (run / "attacks.tex").read_text().split(r"\midrule")[1].splitlines()
    test = found.attacks[0].mirror
    share = f"{test.share:.3f} ({test.share_ci[0]:.3f}--{test.share_ci[1]:.3f})"
    assert lines[1].startswith(f"{{}}{rows[0]['called']} & {test.n_positive} of {test.n} & {share} &")
    assert all(check.ok is not False for check in to.verify(run))


def test_jpeg_files_whose_grid_is_handed_are_told(audit, target_folders, toy_pictures, tmp_path):
    assert "handed-by-jpeg" not in {one.code for one in audit(choices=to.Choices(limit=2)).flags}
    (tmp_path / "jpeg").mkdir()
    for source in sorted(toy_pictures["members"].iterdir())[:2]:
        Image.open(source).crop((0, 0, 15, 16)).save(tmp_path / "jpeg" / f"{source.stem}.jpg")
    odd = to.audit(target_folders["epsilon"], tmp_path / "jpeg", attacks="loss", machine=CPU)
    assert [one.raised_because for one in odd.flags if one.code == "handed-by-jpeg"] == [
        "JPEG files of a width that 8 does not divide, read at more than half their size: 2."
    ]


def test_what_is_shown_has_the_mirror_image_beside_it(audit, tmp_path):
    page = audit(attacks="drc-fast(steps=2)", choices=to.Choices(limit=2), out=tmp_path / "run").page
    assert "Mirror image" in page
    assert "Painted back there" in page
    assert "Where it guesses better" in page
    shown = {path.name for path in (tmp_path / "run" / "restored").glob("*/*")}
    assert {"view.png", "viewback.png", "guess.png", "viewguess.png", "ahead.png"} <= shown
    assert "unseen pictures" not in page


def test_pictures_of_the_kind_say_how_far_chance_goes(audit, toy_pictures):
    found = audit(mirror_reference=toy_pictures["unseen"])
    assert (found.mirror.odds_from, found.mirror.n_reference) == ("reference", 14)
    assert found.lead == "mirror"
    assert "reference pictures" in found.page
    with pytest.raises(UserError, match="leave out one of the two"):
        audit(mirror_reference=toy_pictures["unseen"], unseen=toy_pictures["unseen"])


def test_a_control_model_says_it_of_these_pictures(audit, other):
    found = audit(control=other)
    assert (found.mirror.odds_from, found.mirror.n_reference) == ("control model", 14)


def test_another_view_can_be_what_is_as_likely(audit):
    for view, said in (("half-turn", "turned by half a circle"), ("red-blue", "with red and blue exchanged")):
        found = audit(null_view=view)
        assert found.mirror.view == view
        assert found.chirality is None
        assert said in found.claim.because
    with pytest.raises(UserError, match="use one of"):
        audit(null_view="sideways")


def test_scores_can_be_left_alone(audit):
    found = audit(null_view="none")
    assert (found.claim.level, found.mirror, found.lead) == (1, None, found.attacks[0].repr)


def test_an_attack_that_needs_other_models_stands_alone_and_is_named(audit, other, caplog):
    found = audit(attacks="loss, calibrated(pia)", reference=other)
    assert [one.mirror is None for one in found.attacks] == [False, True]
    assert "its scores stand alone" in caplog.text
    first = audit(attacks="calibrated(pia), loss", reference=other)
    assert (first.claim.level, first.lead) == (1, first.attacks[0].repr)


def test_a_reference_never_passes_for_unseen_pictures(audit, other, toy_pictures):
    with pytest.raises(UserError, match="leave out --mirror-reference"):
        audit(attacks="calibrated(pia)", reference=other, mirror_reference=toy_pictures["unseen"])


def test_without_attacks_drc_is_taken_against_the_mirror_image_alone(audit, tmp_path):
    found = audit(attacks=None, choices=to.Choices(limit=1))
    assert found.attacks[0].name == "drc@2"
    assert found.attacks[0].nfe_per_picture == 16


def test_it_is_said_beforehand_what_can_be_reached(audit, tmp_path, target_folders):
    few = audit(choices=to.Choices(limit=11), out=tmp_path / "few")
    assert few.claim.level == 0
    assert any("12 are needed" in note for note in few.run_notes)
    some = audit(out=tmp_path / "some")
    assert any("from 40 on" in note for note in some.run_notes)
    assert to.plan(target_folders["epsilon"], 40, suspects=40, attacks="loss").reachable.level == 3
    assert to.plan(target_folders["epsilon"], 39, suspects=39, attacks="loss").reachable.level == 2
