"""Captions that tell two sets apart by themselves, and attacks whose signal hangs on them."""

import numpy as np
import pytest

from trainedon.evidence import Circumstances, Scores, audit_table, evaluate_table, to_json
from trainedon.evidence.protocol import blind
from trainedon.evidence.protocol.caption_views import SAY, WRITTEN, form, words
from trainedon.evidence.protocol.flags import of_prompts
from trainedon.evidence.protocol.prompts import evaluated
from trainedon.evidence.protocol.rules import STANDARD_2
from trainedon.formats.run_record import ControlEntry

WORDS = [f"{colour} {thing}" for colour in ("red", "blue", "old") for thing in ("cat", "dog", "sea", "house", "tree")]
ATTACK, CONTROLS = "Loss(t=200)", {kind: f"Recaptioned(Loss(t=200), {kind!r})" for kind in ("fixed", "shuffled")}
PROMPTS = {name: ControlEntry(of=ATTACK, captions=kind) for kind, name in CONTROLS.items()}


def captions(n, seed, tail=""):
    rng = np.random.default_rng(seed)
    return [" and ".join(rng.choice(WORDS, rng.integers(1, 4))) + tail for _ in range(n)]


def pictures(said, seed=0):
    """set -> captions, as rows of an inventory in which nothing else differs."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, texts in said.items():
        for i, text in enumerate(texts):
            facts = {key: float(rng.uniform(60, 190)) for key in (*blind.PLAIN, "sharpness")}
            facts |= {"format": "PNG", "mode": "RGB", "width": 32, "height": 32, "bytes": int(rng.integers(900, 3000))}
            digest = f"{int(rng.integers(2**62)):064x}"
            rows.append(
                {"picture": f"{i}.png", "set": name, "sha256": digest, "reason": None, "caption": text, **facts}
            )
    return rows


def table(sets, shifts, seed=1):
    """Normal scores; shifts: repr of an attack -> how far the first set lies above the unseen pictures."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, n in sets.items():
        shared = rng.normal(size=n)
        for attack, shift in shifts.items():
            values = 0.9 * shared + 0.4 * rng.normal(size=n) + shift * (name != "unseen")
            told = {"set": name, "attack": attack.partition("(")[0].lower(), "attack_repr": attack}
            rows += [{"picture": f"{i}.png", "score": float(value), **told} for i, value in enumerate(values)]
    return rows


def codes(document):
    return [flag.code for flag in document.flags]


def test_features_are_counts_and_say_nothing_of_the_others():
    one, two = form(["A cat, 2 dogs.", None])
    np.testing.assert_allclose(one, [1, *np.log1p([14, 4, 1, 1, 2, 1, 1])])
    assert not two.any() and not words([None]).any()
    assert np.array_equal(words(["red cat", "blue sea"])[0], words(["red cat"])[0])
    assert (words(["red cat"]) != words(["red Cat"])).any(), "capitals count"


@pytest.mark.parametrize(
    ("tail", "first"),
    [("", None), (", highly detailed, 4K", WRITTEN), (" sketch", SAY)],
    ids=["alike", "style", "word"],
)
def test_captions_alone_separate_sets_where_they_differ_and_the_model_is_asked_with_them(tail, first):
    listed = pictures({"suspect": captions(60, 1, tail), "unseen": captions(120, 2)})
    asked = blind.run(listed, "suspect", captions=True).blind
    assert [view.name for view in asked.views] == ["files and colours", WRITTEN, SAY]
    assert asked.separates == bool(tail)
    assert first is None or {view.name: view.p_value for view in asked.views}[first] <= 0.005
    other = blind.run(listed, "suspect").blind
    assert [view.name for view in other.views] == ["files and colours"] and other.separates is False
    bare = blind.run([row | {"caption": None} for row in listed], "suspect", captions=True).blind
    assert bare == other, "there is nothing to look at"


def test_captions_that_differ_cost_the_claim_its_level_and_have_a_flag_of_their_own():
    scores = Scores.from_rows(table({"suspect": 60, "unseen": 120}, {ATTACK: 1.5}))
    alike = pictures({"suspect": captions(60, 1), "unseen": captions(120, 2)})
    differing = pictures({"suspect": captions(60, 1, " sketch"), "unseen": captions(120, 2)})
    honest, told = (audit_table(scores, rows, circumstances=Circumstances(prompts={})) for rows in (alike, differing))
    assert (honest.claim.level, told.claim.level) == (3, 2)
    assert "captions-differ" not in codes(honest)
    assert "captions-differ" in codes(told) and "blind-baseline-separates" not in codes(told)
    assert audit_table(scores, differing).claim.level == 3, "a model that is not asked by captions"


def test_controls_enter_no_test_and_no_correction():
    shifts = {ATTACK: 0.8, "Pia()": 0.5, **dict.fromkeys(CONTROLS.values(), 0.7)}
    rows = table({"suspect": 50, "unseen": 80}, shifts)
    plain = [row for row in rows if row["attack_repr"] not in PROMPTS]
    with_controls, without = (
        audit_table(Scores.from_rows(rows), circumstances=Circumstances(prompts=PROMPTS)),
        audit_table(Scores.from_rows(plain), circumstances=Circumstances(prompts={})),
    )
    assert with_controls.model_copy(update={"prompt_controls": ()}) == without
    assert "prompt_controls" not in to_json(without)
    assert [(one.attack, one.of, one.captions) for one in with_controls.prompt_controls] == [
        ("loss", ATTACK, "fixed"),
        ("loss", ATTACK, "shuffled"),
    ]
    assert all(
        one.p_value < 0.01 and one.n_pictures == 50 and one.n_unseen == 80 for one in with_controls.prompt_controls
    )


@pytest.mark.parametrize(
    ("shifts", "raised"),
    [((0.9, 0.0, 0.0), True), ((0.9, 0.9, 0.9), False), ((0.9, 0.0, 0.9), False), ((0.0, 0.0, 0.0), False)],
    ids=["gone", "kept", "kept by one", "nothing to lose"],
)
def test_the_flag_is_for_signals_that_are_gone_under_every_other_caption(shifts, raised):
    rows = table({"member": 80, "unseen": 80}, dict(zip((ATTACK, *CONTROLS.values()), shifts, strict=True)))
    found = evaluate_table(Scores.from_rows(rows), circumstances=Circumstances(prompts=PROMPTS))
    assert ("caption-signal" in codes(found)) == raised
    for control, shift in zip(found.prompt_controls, shifts[1:], strict=True):
        own = found.attacks[0].auc
        assert (
            control.lost == pytest.approx(own - control.auc)
            and control.lost_ci[0] <= control.lost <= control.lost_ci[1]
        )
        assert (control.lost_ci[0] > 0) == (shift < shifts[0])


def test_what_is_lost_is_counted_on_pictures_that_both_scored():
    rows = table({"member": 30, "unseen": 30}, {ATTACK: 1.0, CONTROLS["fixed"]: 1.0})
    gone = [row | {"score": None, "reason": "no caption"} if row["picture"] == "3.png" else row for row in rows[:30]]
    scores = Scores.from_rows(gone + rows[30:])
    (control,) = evaluated(scores, PROMPTS, 0.95, STANDARD_2)
    one, other = ([r["score"] for r in rows if r["attack_repr"] == a] for a in (ATTACK, CONTROLS["fixed"]))
    kept = [i for i in range(30) if i != 3]
    areas = [np.mean([[a[i] > a[30 + j] for j in range(30)] for i in kept]) for a in (one, other)]
    assert control.n_pictures == 30 and control.lost == pytest.approx(areas[0] - areas[1])
    empty = Scores.from_rows([row | {"score": None, "reason": "none"} for row in rows[30:]] + rows[:30])
    (control,) = evaluated(empty, PROMPTS, 0.95, STANDARD_2)
    assert (control.auc, control.lost) == (None, None) and of_prompts({ATTACK: (0.6, 0.9)}, [control]) == []
