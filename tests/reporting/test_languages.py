"""The page in other languages: what readers are told first is not left in English, and numbers stay what they are."""

from __future__ import annotations

import json
import math
import re
import sys

import numpy as np
import pytest
from commandline import call

from trainedon.evidence import Scores, audit_table, to_json
from trainedon.evidence.protocol.flag_words import KNOWN
from trainedon.evidence.protocol.mirror_test import Flipped, Odds, mirror_test
from trainedon.evidence.protocol.obstacles import of_jpeg
from trainedon.evidence.protocol.reachable import Given, SourcesGiven, reachable
from trainedon.reporting import languages, mirror_words, render
from trainedon.reporting.languages import PLACEHOLDER, catalogue, entries, untranslated
from trainedon.sweeps.grid import QUESTIONS

OTHERS = [language for language in languages.LANGUAGES if language != "en"]
NASTY = '<script>alert("x")</script>&"\'<img src=x onerror=alert(1)>.png'
OWN = {  # of the fixtures, of no protocol; why a picture has no score is in the words of whatever could not read it
    "These pictures are consistent with training, given alike unseen pictures.",
    "Not scored: the file is cut short",
    "the file is cut short",
    "12 unseen pictures were given, and 19 are needed.",
    "No p-value can be smaller than 0.077.",
    "Give more unseen pictures.",
}


def english(build, monkeypatch):
    """The page as it is given to be translated."""
    build.run["language"] = "de"
    monkeypatch.setattr(sys.modules["trainedon.reporting.page"], "translated", lambda page, language: page)
    return render(build.write()).read_text("utf-8")


@pytest.mark.parametrize("language", OTHERS)
def test_every_entry_is_said_with_the_same_placeholders(language):
    names = {key: {name for name, _ in PLACEHOLDER.findall(key)} for key in entries()}
    for key, said in entries().items():
        assert said[language].strip(), key
        assert {name for name, _ in PLACEHOLDER.findall(said[language])} == names[key], key
        plain = PLACEHOLDER.sub(r"{\1}", key)
        assert re.findall(r"<[^>]*>", said[language]) == re.findall(r"<[^>]*>", plain), key


def test_no_line_of_french_begins_with_a_mark():
    for said in entries().values():
        assert not re.search(r" [:;?!»%]|« ", said["fr"])


@pytest.fixture
def audited(new_run):
    """`audited(lead, suspects, unseen)` -> a run with what the real protocol says of scores that do not overlap, or do
    where `suspects` is negative."""

    def build(lead, suspects, unseen):
        made, n = new_run(), abs(suspects)
        for i in range(n):
            score = 0.2 + i / n if suspects > 0 else (-0.5) ** i
            made.score(f"suspect-{i}.png", "suspect", score + (lead == "first" and suspects > 0))
            made.restore(f"suspect-{i}.png", "suspect", i) if i < 3 else None
        for i in range(unseen):
            made.score(f"unseen-{i}.png", "unseen", (-1) ** i * i / unseen)
        made.run["choices"]["lead"] = lead
        made.document = json.loads(to_json(audit_table(Scores.from_rows(made.rows), lead=lead)))
        made.document["flags"] = []
        return made

    return build


REASONS = {  # why each flag is raised, as `flags` and its kin say it
    "no-unseen": ["No unseen pictures were given."],
    "few-unseen": [
        "Unseen pictures scored: 60; a false-positive rate of 1 % needs 299.",
        "Unseen pictures scored: 60; a p-value of 0.01 for one picture needs 99.",
    ],
    "told-from-mirror": [
        "Without the model the pictures can be told from their mirror images by handedness: 71% told right, p = 0.0012."
    ],
    "mirrored-by-exif": ["Suspects that EXIF mirrors: 3."],
    "handed-by-jpeg": ["JPEG files of a width that 8 does not divide, read at more than half their size: 12."],
    "behind-mirror": ["drc(steps=2, roi=center:0.25): 3 of 40 pictures are ahead of their mirror images."],
    "blind-baseline-separates": ["Without the model the sets can be told apart by numbers: AUC 0.81, p = 2e-05."],
    "captions-differ": ["Without the model the sets can be told apart by what captions say: AUC 0.81, p = 0.001."],
    "asked-differently": ["12 of 40 suspects without a class, 0 of 60 unseen pictures."],
    "caption-signal": [
        "loss: the AUC is above 0.5 with the right captions, and 0.51 with fixed ones, 0.49 with shuffled ones."
    ],
    "blind-baseline-not-run": ["The blind baseline was not run: too few usable pictures."],
    "codec-mismatch": ["The sets differ in file format: JPEG 40 of 40 and 0 of 60."],
    "resolution-mismatch": ["The sets differ in size: 512 x 512 and 256 x 256."],
    "dealt-by-source": [
        "Whole sources were dealt: suspects of 1, unseen pictures of 30, intra-class correlation 0.21.",
        "Pictures were dealt within their source: suspects of 4, unseen pictures of 4, intra-class correlation -0.02.",
    ],
    "chosen-after-scoring": [
        "Suspects that earlier runs without a finding scored: 12; others that the same runs scored and that are not "
        "asked about here: 30."
    ],
    "asked-before": ["Earlier runs that asked about more than half of them: 2."],
    "excluded-pictures": ["Of 104 pictures 3 could not be used."],
    "passed-over": [
        "Files that may hold pictures were passed over. Suspect: 2 archives (unpack them); unseen: 1 film (save its "
        "frames)."
    ],
    "duplicates": ["Exact copies of other pictures: 3."],
    "near-duplicates": ["Pictures that look like another one and do not count: 2.", "Such as a b.png and 2.1.png."],
    "near-duplicates-across": ["Groups of pictures that look alike and lie in both sets: 2."],
    "near-duplicates-not-sought": ["No picture has a perceptual hash, and no column says what looks alike."],
    "captions-missing": [
        "Pictures without a caption: 3 of 40 (suspect), 0 of 60 (unseen).",
        "Pictures without a caption: 3 of 40 (suspect).",
    ],
    "pixels-chosen": [
        "Pictures with transparency: 40 of 40 (suspect), 60 of 60 (unseen); alpha: white. Pictures that EXIF turns: 1 "
        "of 40 (suspect), 0 of 60 (unseen); orientation: exif."
    ],
    "pixels-uncertain": [
        "Pictures with transparency: 40 of 40 (suspect); alpha: not to be told, so white.",
        "Pictures that EXIF turns: 1 of 40 (suspect); orientation: not to be told, so exif.",
    ],
    "distilled": ["The model seems to be distilled to few steps: its scheduler is LCMScheduler."],
    "unseen-differ": ["drc@2: unseen pictures against unseen ones, p = 0.0021."],
    "ties": ["loss gave 40 pictures a score that also occurs in the other set."],
    "not-scored": ["loss left 3 without a score, most often because the answer is not finite."],
    "attack-below-chance": ["The AUC of loss(t=1) lies between 0.31 and 0.44, wholly below 0.5."],
    "multiple-attacks": ["Attacks tried: 3.", "Attacks tried: 3 and all of them together (CDI)."],
    "attacks-added": ["Added to a run that was complete: loss, pia."],
    "attacks-disagree": ["Of 3 tests, these found a difference: loss, cdi."],
}


@pytest.mark.parametrize("language", OTHERS)
def test_every_flag_is_said_with_its_reasons_its_meaning_and_what_to_do(language):
    assert REASONS.keys() == KNOWN.keys()
    for code, (meaning, remedy) in KNOWN.items():
        for text in (meaning, remedy, *REASONS[code]):
            if code != "asked-differently" or text in (meaning, remedy):  # which counts classes in words of its own
                assert catalogue(language).paragraph(text)[1] == [], code


@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_pictures_that_look_alike_are_named_beside_their_flag(audit, page, language):
    meaning, remedy = KNOWN["near-duplicates"]
    because = "Pictures that look like another one and do not count: 1."
    told = {"code": "near-duplicates", "raised_because": because, "meaning": meaning, "remedy": remedy}
    audit.document["flags"] = [told]
    pair = {"picture": "salt and pepper.png", "set": "suspect", "near": "2024.06"}
    audit.document["duplicates"] = {"sought": True, "n_exact": 0, "n_near": 1, "n_across": 0, "examples": [pair]}
    audit.run["language"] = language
    said = {"en": "Such as {} and {}.", "de": "Zum Beispiel {} und {}.", "fr": "Par exemple {} et {}."}[language]
    assert said.format("salt and pepper.png", "2024.06") in page(audit).text.replace(" .", ".")


LIMITED = [
    Given(40, 0),
    Given(12, 200),
    Given(2, 7),
    Given(3, 8),
    Given(3, 8, attacks=2),
    Given(40, 200, pictures=False),
    Given(25, 2475, sources=SourcesGiven.one_against(99)),
    Given(25, 2475, 2, sources=SourcesGiven("between", 2, 9, 9, 55)),
    Given(25, 300, sources=SourcesGiven("between", 3, 40, 19, math.comb(43, 3))),
    Given(2, 3, sources=SourcesGiven("within", 1, 1, 1, 10)),
    Given(3, 0, by_mirror=True),
    Given(3, 0, 2, by_mirror=True),
    Given(3, 0, 99, by_mirror=True, bounded=True),
    Given(3, 0, sources=SourcesGiven.alone(["a", "b", "b"]), by_mirror=True),
    Given(30, 0, by_mirror=True),
    Given(60, 0, by_mirror=True, checked=False),
    Given(40, 200, mirrorable=False),
    Given(15, 200, 2, together=True),
    Given(25, 2500, 2, sources=SourcesGiven.one_against(200), together=True),
]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("exact", ["", "1 exact copy, ", "2 exact copies, "])
@pytest.mark.parametrize("near", ["1 near-duplicate", "0 near-duplicates"])
@pytest.mark.parametrize("across", ["", "; 1 group in both sets", "; 5 groups in both sets"])
def test_copies_are_counted_whether_there_is_one_or_several(across, near, exact, language):
    assert catalogue(language).say(f"{exact}{near} left out{across}") is not None


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("origin", ["reference", "control model"])
@pytest.mark.parametrize("odds", [2.0, 3.5])
def test_how_far_chance_goes_is_said_whoever_says_it(odds, origin, language):
    test = mirror_test(np.arange(1.0, 41.0), Odds(odds, origin, 1200, 660))
    assert catalogue(language).say(mirror_words.odds(test)) is not None


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("odds", [Odds(), Odds(2.0, "reference", 200, 100)])
def test_what_the_grid_of_jpeg_can_explain_is_said(odds, language):
    found = of_jpeg(mirror_test(np.where(np.arange(100) % 5 > 0, 1.0, -1.0), odds), 12)
    assert all(catalogue(language).say(said) is not None for said in (found.sentence, found.because))


@pytest.mark.parametrize("language", OTHERS)
def test_what_hangs_together_in_the_mirror_test_is_said(language):
    units = np.arange(40) // 2 * 2
    test = mirror_test(np.arange(1.0, 41.0), Odds(9.0, "reference", 1200, 660, Flipped(60, 33)), units)
    said = mirror_words.statistician(test, 1, corrected=False)
    assert "20 signs in all" in said and "33 of 60 are ahead" in said
    assert catalogue(language).paragraph(said)[1] == []


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("given", LIMITED, ids=str)
def test_what_no_claim_can_go_beyond_is_said(given, language):
    sentence = reachable(given).sentence
    assert sentence.startswith("No claim above level ")
    assert catalogue(language).paragraph(sentence)[1] == []


@pytest.mark.parametrize("language", ["de", "fr"])
def test_what_an_attack_asks_of_the_network_is_said(crowd, page, language):
    crowd.run["language"] = language
    crowd.run["costs"][0] |= {"backward_per_picture": 30}
    crowd.run["costs"][1] |= {"backward_per_picture": 30, "setup_passes": 9}
    said = page(crowd).text
    assert {"de": "Vorwärtsdurchgänge des Netzes je Bild: 16", "fr": "Passages avant du réseau par image : 16"}[
        language
    ] in said
    assert " passes of the network" not in said


@pytest.mark.parametrize("parameters", [7, 12_345, 1_813_571, 2_600_000_000, None])
@pytest.mark.parametrize("conditioning", ["none", "caption", "class (10)", None])
def test_what_the_model_is_is_said(audit, parameters, conditioning):
    audit.run["language"] = "de"
    audit.run["model"] |= {"family": "own network", "parameters": parameters, "conditioning": conditioning}
    page = render(audit.write()).read_text("utf-8")
    (said,) = re.findall(r"<dt>Art</dt>(.*?)</dd>", page)
    assert 'lang="en"' not in said and "own network" in said and "Sagt epsilon vorher." in said


@pytest.mark.parametrize("language", OTHERS)
def test_the_questions_of_sweeps_are_said(language):
    for question in QUESTIONS.values():
        assert catalogue(language).say(question.title) and catalogue(language).say(question.question)


def tell_of_mosaic(folder):
    path = folder / "evidence.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mosaic": True}))


@pytest.mark.parametrize(
    ("degradation", "said"),
    [
        ("Diffuse(t=50)", "the picture was made a mosaic, of which the model was given nothing but"),
        ("Mosaic(tiles=8)", "only the mean colour of each tile is given to the model"),
        ("Blur(sigma=2.0)", "only the rest is given to the model"),
    ],
)
def test_what_is_painted_from_a_mosaic_is_said(audit, monkeypatch, degradation, said):
    for path in audit.path.glob("restored/*/region.png"):
        path.rename(path.with_name("viewpainted.png"))
        if "Blur" not in degradation:
            tell_of_mosaic(path.parent)
    for row in audit.rows:
        row["attack_repr"] = f"DRC(degradation=({degradation},), symmetries=('mirror',))"
    page = english(audit, monkeypatch)
    assert said in page and "Painted in another view" in page
    assert ("Mosaic</figcaption>" in page) == ("mean colour" in said or "a mosaic" in said)
    for language in OTHERS:
        assert [one for one in untranslated(page, language) if one not in OWN] == []


@pytest.mark.parametrize("language", OTHERS)
def test_what_was_passed_over_and_what_became_of_the_mirror_image_are_said(language):
    for text in (
        "1 other file passed over, and why",
        "1\u202f200 other files passed over, and why",
        "nothing: no pictures are to be expected in it",
        *(
            f"The same was done with its {view}, which stands beside what was painted of it."
            for view in mirror_words.VIEW.values()
        ),
    ):
        assert catalogue(language).paragraph(text)[1] == [], text


def test_a_run_that_two_versions_painted_says_so(audit, monkeypatch):
    first, *_ = sorted(audit.path.glob("restored/*/region.png"))
    first.unlink()
    tell_of_mosaic(first.parent)
    for row in audit.rows:
        row["attack_repr"] = "DRC(degradation=(Diffuse(t=50),), symmetries=('mirror',))"
    page = english(audit, monkeypatch)
    assert "the picture was made a mosaic" in page and "the centre was hidden instead" in page
    for language in OTHERS:
        assert [one for one in untranslated(page, language) if one not in OWN] == []


@pytest.mark.parametrize("kind", ["audit", "demo", "evaluation", "crowd"])
def test_no_sentence_is_left_in_english(kind, request, monkeypatch):
    page = english(request.getfixturevalue(kind), monkeypatch)
    for language in OTHERS:
        assert [one for one in untranslated(page, language) if one not in OWN] == []


@pytest.mark.parametrize(
    ("lead", "suspects", "unseen"),
    [("first", 40, 50), ("first", -12, 30), ("first", 12, 0), ("mirror", 24, 0), ("mirror", 60, 0), ("mirror", -14, 0)],
)
def test_no_sentence_of_the_protocol_is_left_in_english(audited, monkeypatch, lead, suspects, unseen):
    page = english(audited(lead, suspects, unseen), monkeypatch)
    assert untranslated(page, "de") == untranslated(page, "fr") == []


def test_a_sentence_that_the_catalogue_lacks_is_found_and_its_whole_block_stays_english_and_is_marked(
    audit, monkeypatch
):
    page = english(audit, monkeypatch)
    known = "It does not say how likely it is that a picture was used."
    changed = page.replace("Degrade</h3>", "A sentence of nobody.</h3>").replace(known, f"{known} Nobody’s, by 1.5.")
    assert {"A sentence of nobody.", "Nobody’s, by 1.5."} <= {*untranslated(changed, "de")}
    said = languages.translated(changed, "de")
    assert '<h3 lang="en">A sentence of nobody.</h3>' in said
    assert re.search(rf'<dd lang="en">how unusual [^<]*{re.escape(known)} Nobody’s, by 1[.]5[.]</dd>', said)


@pytest.mark.parametrize(
    "sentence",
    [
        "The score is higher than for most of the 30 unseen pictures.",
        "The score is higher than for none of the 30 unseen pictures. A sentence of nobody.",
        "Claim level 1 of 4, because nobody looked.",
        "1 control failed, so the comparison itself is in doubt: Is it so? Why?",
        "p = 0.16; nobody looked",
        "Nothing follows for your pictures, because no unseen pictures were given, and nobody looked.",
    ],
)
@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_said_of_which_the_catalogue_knows_a_part(language, sentence):
    said, missing = catalogue(language).paragraph(sentence)
    assert said == sentence and missing


@pytest.mark.parametrize(
    ("english", "german"),
    [
        (
            "The score is higher than for none of the 30 unseen pictures. Among pictures like the unseen ones, a score "
            "this high or higher is expected every time.",
            "Die Punktzahl ist höher als bei keinem der 30 ungesehenen Bilder. Unter Bildern wie den ungesehenen ist "
            "eine so hohe oder höhere Punktzahl jedes Mal zu erwarten.",
        ),
        (
            "2 of your 3 pictures stand out from those that the model never saw, A. B 1.5.png most of all.",
            "2 of your 3 pictures stand out from those that the model never saw, A. B 1.5.png most of all.",
        ),
        (
            "2 of your 3 pictures stand out from those that the model never saw, all 1.5.png most of all.",
            "2 Ihrer 3 Bilder fallen auf (Vergleich: jene, die das Modell nie gesehen hat), am meisten all 1.5.png.",
        ),
        ("2.5e−5", "2,5e−5"),
    ],
    ids=["two sentences", "a name with a full stop", "a name", "a number"],
)
def test_sentences_are_said_by_themselves_and_names_stay(english, german):
    assert catalogue("de").paragraph(english)[0] == german


@pytest.mark.parametrize(
    ("english", "german", "french"),
    [
        ("about once in 833", "etwa einmal in 833 Fällen", "environ une fois sur 833"),
        ("1 flag raised:", "1 Warnzeichen:", "1 signalement\u00a0:"),
        ("2 pictures left out, and why", "2 Bilder ausgelassen, und warum", "2 images écartées, et pourquoi"),
        ("1 picture left out, and why", "1 Bild ausgelassen, und warum", "1 image écartée, et pourquoi"),
        (
            "All suspect pictures together: p = 2.0e−5.",
            "Alle fraglichen Bilder zusammen: p = 2,0e−5.",
            "Toutes les images en question ensemble\u00a0: p = 2,0e−5.",
        ),
        (
            "59.4\u00a0% to more than 99.9\u00a0%",
            "59,4\u00a0% bis mehr als 99,9\u00a0%",
            "59,4\u00a0% à plus de 99,9\u00a0%",
        ),
    ],
)
def test_numbers_and_plurals(english, german, french):
    assert catalogue("de").say(english) == german
    assert catalogue("fr").say(english) == french


def test_numbers_of_the_page_are_those_of_the_english_one(audit):
    def numbers(text):
        body = re.sub(r"<(style|script).*?</\\1>|<[^>]*>", " ", text, flags=re.DOTALL)
        return sorted(re.findall(r"\d+(?:[.,]\d+)?", body.replace(",", ".")))

    pages = {}
    for language in languages.LANGUAGES:
        audit.run["language"] = language
        pages[language] = numbers(render(audit.write()).read_text("utf-8").partition('<section id="record"')[0])
    notes = 0  # the note on what stays English has no numbers
    assert len(pages["de"]) - notes == len(pages["en"]) and pages["de"] == pages["en"] == pages["fr"]


def test_the_claim_of_the_protocol_is_said_and_names_are_left_alone(audit, page):
    audit.run["language"] = "de"
    audit.document["claim"]["sentence"] = (
        "No sign of training was found; this does not show that the pictures were not used."
    )
    for row in (*audit.rows, *audit.inventory):
        row["picture"] = row["picture"].replace("suspect-1.png", "Unseen").replace("suspect-2.png", NASTY)
    audit.document["pictures"][1]["picture"], audit.document["pictures"][2]["picture"] = "Unseen", NASTY
    html = page(audit)
    assert "Es wurde kein Anzeichen für Training gefunden" in html.text
    assert re.search(r"2 Unseen Fällt auf", html.text), "a picture of that name keeps it"
    assert NASTY in html.text and html.all("script") == [{}]
    assert not [name for _, attrs in html.elements for name in attrs if name.startswith("on")]
    assert html.all("html") == [{"lang": "de"}] and "Auf Englisch bleibt, was mit EN gekennzeichnet ist" in html.text
    assert not [attrs for attrs in html.all("section") if "lang" in attrs], "no section stays English as a whole"


@pytest.mark.parametrize("kind", ["audit", "demo", "evaluation"])
def test_a_picture_that_is_named_like_a_sentence_of_the_catalogue_keeps_its_name(kind, request):
    build = request.getfixturevalue(kind)
    name = "It neither accuses the model nor clears it."  # which is said of none of these
    renamed = {"suspect-0.png", "member-00.png"}
    for row in (*build.rows, *build.inventory, *build.document.get("pictures", ())):
        row["picture"] = name if row["picture"] in renamed else row["picture"]
    for row in build.document.get("pictures", ())[-1:]:
        row["near"] = name
    found = {}
    for language in languages.LANGUAGES:
        build.run["language"] = language
        found[language] = render(build.write()).read_text("utf-8").count(name)
    assert found["en"] >= 3 and found["de"] == found["fr"] == found["en"]


def test_the_command_writes_the_page_in_a_language_and_records_it(audit):
    from trainedon.runs.checking.verify import verify

    run = audit.write()
    done = call("report", run, "--language", "fr")
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "run.json").read_text("utf-8"))["language"] == "fr"
    assert '<html lang="fr">' in (run / "report.html").read_text("utf-8")
    assert next(check.ok for check in verify(run) if check.name.startswith("the page"))
    assert call("report", run).returncode == 0
    assert '<html lang="fr">' in (run / "report.html").read_text("utf-8"), "it stays until another is asked for"
    assert call("report", run, "--language", "en").returncode == 0
    assert '<html lang="en">' in (run / "report.html").read_text("utf-8")
    assert call("report", run, "--language", "xx").returncode == 2
