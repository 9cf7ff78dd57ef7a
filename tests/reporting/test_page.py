"""What the page says, for an audit, an evaluation and the demo."""

import hashlib
import json
import re

import numpy as np
import pytest

from trainedon.errors import UserError
from trainedon.reporting import render

FLAG = {
    "code": "few-unseen",
    "raised_because": "12 unseen pictures were given, and 19 are needed.",
    "meaning": "No p-value can be smaller than 0.077.",
    "remedy": "Give more unseen pictures.",
}
FORBIDDEN = ("proves", "contains your", "was copied", "probability that")


def test_an_audit_answers_the_question(audit, page):
    html = page(audit)
    assert "Was this model trained on these pictures?" in html.text
    assert "These pictures are consistent with training, given alike unseen pictures." in html.text
    assert "All suspect pictures together: p = 0.0012. " in html.text
    assert "about once in 833" in html.text
    assert "In 83 % of pairs (95 % interval: 70 % to 92 %) the suspect picture scores higher" in html.text
    assert (
        "Can the sets be told apart without the model? by files and colours: AUC 0.520 (0.410 to 0.630) passed"
        in html.text
    )
    assert not [word for word in FORBIDDEN if word in html.text.lower()]


def test_the_ladder_marks_the_level(audit, page):
    steps = [attrs for attrs in page(audit).all("li") if "aria-current" in attrs]
    assert [attrs["class"] for attrs in steps] == ["now"]
    html = page(audit)
    assert html.text.index("3 Consistent with training") < html.text.index("This audit is here")
    assert html.text.index("This audit is here") < html.text.index("4 Randomised evidence")


def test_flags_stand_on_page_one(audit, page):
    text = page(audit).text
    places = [text.index(part) for part in audit.document["flags"][0].values()]
    assert places == sorted(places)
    assert places[-1] < text.index("A part of the picture is hidden")


def test_model_counts_and_exclusions(audit, page):
    text = page(audit).text
    assert "designs32" in text and "digest 0123456789ab" in text
    assert "UNet2DModel , 4.30 million parameters" in text
    assert "32 × 32 pixels, colour" in text
    assert "1 March 2025, 10:01 UTC" in text
    assert "suspect pictures 7 6 1" in text
    assert "unseen pictures 40 40 0" in text
    assert "broken.jpg suspect the file is cut short" in text


def test_each_picture_has_its_evidence_and_its_sentence(audit, page):
    html = page(audit)
    first = html.text[html.text.index("The suspect pictures, strongest first") :]
    assert first.index("suspect-0.png") < first.index("suspect-1.png") < first.index("suspect-5.png")
    assert "closer to the original than for all 40 unseen pictures" in first
    assert "closer to the original than for 9 of the 40 unseen pictures" in first  # 0.40 > 0.30 ... 0.396
    assert "is expected about once in 41" in first
    captions = [
        "Original",
        "Hidden part",
        "Degraded",
        "Painted back 1",
        "Painted back 2",
        "Where they differ",
    ]
    assert " ".join(captions) in first
    pictures = html.all("img")
    assert len(pictures) == 3 * 2 + 5 + 6 * 6 + 12 * 6  # the summary, the explanation, six suspects, twelve unseen
    assert all(attrs["src"].startswith("data:image/png;base64,") and attrs["alt"] for attrs in pictures)
    assert all(attrs["class"] == "squares" for attrs in pictures)


def test_verdicts_follow_the_level_of_the_audit(audit, page):
    assert page(audit).without_table.count("Does not stand out") == 3
    audit.document["false_discovery_rate"] = 0.01
    assert page(audit).without_table.count("Does not stand out") == 6


def test_low_claim_levels_qualify_the_verdicts(audit, page):
    assert "nothing about training" not in page(audit).text
    audit.document["claim"]["level"] = 2
    assert "At claim level 2 this says that a picture differs from the unseen ones, and nothing about training" in (
        page(audit).text
    )


def test_unseen_pictures_are_shown_for_comparison(audit, page):
    text = page(audit).without_table
    assert "Unseen pictures, for comparison" in text
    assert "of the 39 other unseen pictures" in text
    sample = sorted((f"unseen-{i}.png" for i in range(40)), key=lambda name: hashlib.sha256(name.encode()).digest())
    assert set(re.findall(r"unseen-\d+\.png", text)) == set(sample[:12])


def test_evidence_that_was_not_finished_is_not_shown(audit, page):
    for path in audit.path.rglob("evidence.json"):
        path.unlink()
    assert page(audit).all("img") == []


def test_the_demo_reveals_the_truth(demo, page):
    html = page(demo)
    assert "Stands out 2 1" in html.text
    assert "Does not stand out 1 2" in html.text
    assert html.text.count("Truth: the model was trained on this design. Recognised.") == 2
    assert html.text.count("Truth: the model never saw this design. False alarm.") == 1
    assert html.text.count("Truth: the model was trained on this design. Missed.") == 1
    assert html.text.count("Truth: the model never saw this design. Rightly passed over.") == 2
    assert "Artworks: OpenMoji, CC BY-SA 4.0." in html.text


def test_an_audit_without_truth_reveals_nothing(audit, page):
    assert "Truth:" not in page(audit).text


def test_an_evaluation_prints_its_numbers_in_words(evaluation, page):
    html = page(evaluation)
    assert "How much does this model reveal of its training pictures?" in html.text
    assert "the attack picks the right one 98.1 % of the time (95 % interval: 95 % to 99.8 %)" in html.text
    assert "72 % of the training pictures are recognised (95 % interval: 59 % to 83 %)" in html.text
    assert "(n = 60, need 2 995)" in html.text
    assert "1 drc 0.981 0.950 to 0.998 95 % 72 % 59 % to 83 % not estimable n = 60, need 2 995 60 60 0 40" in html.text
    assert "ASR (best accuracy, optimistic)" in html.text
    titles = [text for text in ("ROC, logarithmic axes", "Scores of drc", "ROC, linear axes") if text in html.text]
    assert len(titles) == 3
    assert "reported" not in html.text.lower()  # nobody said which pictures these are


def test_what_is_painted_for_the_eye_has_its_own_auc_where_it_was_scored(evaluation, page):
    evaluation.run["declared"] = {"DRC(t=100)": {"shown_as": "noised", "relative_to": "self"}}
    assert "how near the painted centre comes" not in page(evaluation).text
    evaluation.document["attacks"][1] |= {"name": "drc-paint", "auc": 0.84, "auc_ci": [0.75, 0.9]}
    for row in evaluation.rows:
        row["attack"] = "drc-paint" if row["attack"] == "loss" else row["attack"]
    assert "told from unseen ones with an AUC of 0.840 (0.750 to 0.900)." in page(evaluation).text
    evaluation.run["labels"] = {"LOSS(t=100)": "drc-paint(symmetries=mirror)"}
    assert "how near the painted centre comes" not in page(evaluation).text, "it has another view, or region"
    evaluation.run["labels"] = {"LOSS(t=100)": "drc-paint@2"}
    assert "how near the painted centre comes" not in page(evaluation).text, "what is shown is no mosaic"


HIDES = {"shown_as": "hidden", "relative_to": "self"}
NOISES = {"shown_as": "noised", "relative_to": "self"}


def test_the_pictures_are_explained_by_the_attack_that_they_are_of(evaluation, page):
    evaluation.run["declared"] = {"DRC(t=100)": HIDES, "LOSS(t=100)": NOISES}
    text = page(evaluation).text
    assert "A part of the picture is hidden" in text and "The closer to the original, next to the mirror images" in text
    assert "For the eye" not in text and "which the eye can judge and the score does not use" not in text
    evaluation.run["declared"] = {"DRC(t=100)": NOISES, "LOSS(t=100)": HIDES}
    text = page(evaluation).text
    assert "For the eye, its centre is hidden" in text and "A part of the picture is hidden" not in text


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_whose_order_the_pictures_are_in_is_said_where_it_is_not_that_of_the_strongest(evaluation, page, language):
    evaluation.run |= {"language": language, "declared": {"DRC(t=100)": HIDES, "LOSS(t=100)": NOISES}}
    by = {"en": "ordered and ranked by loss", "de": "gereiht sind sie nach loss", "fr": "classées selon loss"}[language]
    assert by not in page(evaluation).text
    evaluation.document["attacks"].reverse()
    evaluation.rows.sort(key=lambda row: row["attack"] != "loss")
    assert by in page(evaluation).text


def test_an_attack_that_cannot_tell_is_called_a_coin(evaluation, page):
    evaluation.document["attacks"][0] |= {"auc": 0.52, "auc_ci": [0.42, 0.62]}
    assert "no better than a coin would" in page(evaluation).text


def test_the_headline_is_the_strongest_attack_whichever_was_named_first(evaluation, page):
    evaluation.document["attacks"].reverse()
    evaluation.rows.sort(key=lambda row: row["attack"] != "loss")
    text = page(evaluation).text
    assert "These numbers are those of the strongest of 2 attacks, drc ;" in text
    assert "98.1 % of the time (95 % interval: 95 % to 99.8 %)" in text


def test_an_evaluation_saw_what_it_was_told_of_the_training(evaluation, audit, page):
    text = page(evaluation).text
    assert "never saw the training data" not in text and "takes the word of whoever ran this" in text
    audit.path = audit.path.parent / "audit"
    assert "It never saw the training data." in page(audit).text


def test_every_choice_is_on_the_page(audit, page):
    text = page(audit).text
    for choice in ("seed 0", "drc.steps 20", "drc.roi attention", "DRC(t=100)", "torch 2.6"):
        assert choice in text


def test_costs_and_notes(audit, page):
    audit.run["costs"] = [{"attack": "DRC(t=100)", "forward_per_picture": 46, "backward_per_picture": 40}]
    audit.run["notes"] = ["the scheduler was read as linear"]
    text = page(audit).text
    assert "DRC(t=100) 46 forward and 40 backward passes of the network a picture" in text
    assert "once a model" not in text
    assert "the scheduler was read as linear" in text


def test_flags_of_one_kind_share_a_box(audit, page):
    audit.document["flags"] = [FLAG, {**FLAG, "raised_because": "Another reason."}]
    html = page(audit)
    assert html.text.count("few-unseen") == 2  # named at the top, told in its box
    assert "12 unseen pictures were given, and 19 are needed. Another reason." in html.text


def test_rendering_twice_gives_the_same_bytes(audit):
    run = audit.write()
    first = render(run).read_bytes()
    assert render(run).read_bytes() == first
    assert [path.name for path in run.iterdir() if "report" in path.name] == ["report.html"]


def test_an_old_page_survives_a_failure(audit, monkeypatch):
    run = audit.write()
    (run / "report.html").write_text("old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        render(run)
    assert (run / "report.html").read_text() == "old"
    assert not list(run.glob(".report*"))


def test_no_unseen_pictures(new_run, page):
    build = new_run()
    for i in range(3):
        build.score(f"{i}.png", "suspect", 0.1 * i)
    build.document = {"claim": {"level": 1, "sentence": "These are scores alone."}, "pictures": [], "set": {}}
    html = page(build)
    assert "There is nothing to measure this score against." in html.text
    assert "There are no scores of unseen pictures to compare it with." in html.text and "grey hill" not in html.text
    assert "Stands out" not in html.text and "p-value p" not in html.text


def test_nothing_scored(new_run, page):
    build = new_run()
    build.score("a.png", "suspect", None, reason="the score is not a number")
    build.score("b.png", "unseen", float("nan"))
    build.document = {"claim": {"level": 0, "sentence": "Not estimable."}, "set": {"p_value": None}}
    html = page(build)
    assert "No picture was scored." in html.text
    assert "There are no scores to draw." in html.text
    assert "a.png suspect the score is not a number" in html.text
    assert "nan" not in html.text.lower().split()


def test_attacks_without_evidence_pictures(new_run, page):
    build = new_run("evaluate")
    for i in range(4):
        build.score(f"m{i}", "member", -float(i), attack="loss")
        build.score(f"u{i}", "unseen", -float(i) - 2, attack="loss")
    build.document["attacks"] = [{"name": "loss", "repr": "LOSS(t=100)", "auc": None}]
    html = page(build)
    assert html.all("img") == []
    assert "Degrade" not in html.text.split("References")[0]
    assert "The score is higher than for all 4 unseen pictures." in html.text
    assert "painted" not in html.text


def test_one_score_and_equal_scores(new_run, page):
    build = new_run()
    build.score("a", "suspect", 0.5)
    for i in range(5):
        build.score(f"u{i}", "unseen", 0.5)
    assert "no closer to the original than for the least well restored of 5 unseen pictures" in page(build).text


def test_a_copy_among_the_unseen_does_not_count(audit, page):
    row = next(row for row in audit.rows if row["picture"] == "unseen-0.png")
    copy = {**row, "picture": "copy.png", "score": 0.0}
    audit.rows.append(copy)
    text = page(audit).text
    assert "of the 40 unseen pictures" in text and "of the 41" not in text


@pytest.mark.parametrize("field", ["model", "choices", "inputs", "versions", "started", "finished", "command"])
def test_what_an_earlier_record_lacks_is_not_told(audit, page, field):
    del audit.run[field]
    text = page(audit).text
    assert ("Model not recorded" in text) == (field == "model") and "None" not in text


def test_statistics_of_other_attacks_than_the_scores_are_refused(audit):
    run = audit.write()
    document = json.loads((run / "audit.json").read_text())
    document["attacks"][0]["repr"] = "Another()"
    (run / "audit.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"audit.json speaks of other attacks than the scores: write it again"):
        render(run)


def test_what_attacks_declare_is_believed_and_not_their_parameters(audit, page):
    name = audit.rows[0]["attack_repr"]
    assert "painted the hidden part back" in page(audit).text, "by the parameters, as in records of version 1"
    audit.run["declared"] = {name: {"shown_as": "noised", "relative_to": "self"}}
    assert "brought this picture back from noise" in page(audit).text
    audit.run["declared"] = {}
    assert "The score is higher than for all 40 unseen pictures." in page(audit).text


@pytest.mark.parametrize("broken", ["run.json", "audit.json", "scores.parquet", "pictures.parquet"])
def test_damaged_files_are_named(audit, broken):
    run = audit.write()
    (run / broken).write_bytes(b"\x00 nonsense")
    with pytest.raises(UserError, match=broken):
        render(run)


@pytest.mark.parametrize("missing", ["run.json", "audit.json", "scores.parquet"])
def test_missing_files_are_named(audit, missing):
    run = audit.write()
    (run / missing).unlink()
    with pytest.raises(UserError, match=missing):
        render(run)


def test_a_damaged_evidence_picture_costs_only_itself(audit, page):
    before = len(page(audit).all("img"))
    folder = next(path.parent for path in audit.path.rglob("evidence.json") if "suspect-3" in path.read_text())
    for path in folder.glob("restored-*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert len(page(audit).all("img")) == before - 2


def test_statistics_of_the_real_protocol_render(new_run, page):
    from trainedon.evidence import audit_table as audit_scores
    from trainedon.evidence import evaluate_table, read_scores, to_json

    for kind, asked, run_statistics in (("audit", "suspect", audit_scores), ("evaluate", "member", evaluate_table)):
        build = new_run(kind)
        rng = np.random.default_rng(1)
        for i in range(40):
            build.score(f"a{i}", asked, float(rng.normal(1)))
            build.score(f"u{i}", "unseen", float(rng.normal()))
        run = build.write()
        build.document = json.loads(to_json(run_statistics(read_scores(run / "scores.parquet"))))
        html = page(build)
        assert build.document["flags"][0]["meaning"] in html.text
        (run / "audit.json").unlink(missing_ok=True)


def test_pictures_that_are_for_the_eye_alone_are_said_to_be(audit, page):
    hidden = page(audit).text
    assert "which the eye can judge" not in hidden and "painted the hidden part back" in hidden
    for row in audit.rows:
        row["attack_repr"] = "DRC(degradation=(Diffuse(t=50),), symmetries=('mirror',))"
    drowned = page(audit).text
    assert "which the eye can judge and the score does not use" in drowned
    assert "painted the hidden part back" not in drowned and "brought this picture back from noise" in drowned
    for row in audit.rows:
        row["attack_repr"] = "DRC(degradation=(Diffuse(t=50),), symmetries=())"
    alone = page(audit).text
    assert "which the eye can judge and the score does not use" in alone and "mirror images" not in alone
