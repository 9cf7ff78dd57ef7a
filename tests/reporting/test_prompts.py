"""The section on captions: each attack with the right ones and with others."""

import json

import numpy as np
import pytest

from trainedon.evidence import Circumstances, Scores, audit_table, evaluate_table, to_json
from trainedon.formats.run_record import ControlEntry
from trainedon.reporting import render

COMPUTE = {"audit": (audit_table, "suspect"), "evaluate": (evaluate_table, "member")}
ATTACKS = {"Loss(t=100)": 1.2, "Pia()": 1.2}


@pytest.fixture
def captioned(new_run):
    """A run of two attacks, of which the first finds nothing with other captions."""

    def make(kind):
        build, (compute, asked) = new_run(kind), COMPUTE[kind]
        controls = {
            f"Recaptioned({name}, {c})": {"of": name, "captions": c} for name in ATTACKS for c in ("fixed", "shuffled")
        }
        rng = np.random.default_rng(2)
        shifts = ATTACKS | {name: 1.2 * (told["of"] == "Pia()") for name, told in controls.items()}
        for set_name in (asked, "unseen"):
            for i in range(80):
                own = rng.normal()
                for name, shift in shifts.items():
                    score = own + 0.3 * rng.normal() + shift * (set_name == asked)
                    build.score(
                        f"{set_name}-{i}.png", set_name, score, name.partition("(")[0].lower(), attack_repr=name
                    )
        build.run["controls"] = controls
        build.run["labels"] = {"Loss(t=100)": "loss(t=100)", "Pia()": "pia"}
        build.document = json.loads(
            to_json(
                compute(
                    Scores.from_rows(build.rows),
                    circumstances=Circumstances(
                        prompts={name: ControlEntry(**told) for name, told in controls.items()}
                    ),
                )
            )
        )
        return build

    return make


@pytest.mark.parametrize("kind", COMPUTE)
def test_every_attack_stands_once_with_right_and_other_captions(captioned, page, kind):
    build = captioned(kind)
    html = page(build)
    section = html.text[html.text.index("Captions With the wrong words") :]
    assert section.startswith("Captions With the wrong words loss(t=100) can no longer tell the pictures apart")
    right = [one.get("auc") or one["set"]["effect"] for one in build.document["attacks"]]
    assert all(f"{auc:.3f}" in section for auc in right)
    assert all(f"{one['auc']:.3f}" in section for one in build.document["prompt_controls"])
    assert ("p-value of the set, not corrected" in section) == (kind == "audit")
    assert "Recaptioned" not in html.text and "recaptioned" not in html.text, "a control stands among the attacks"
    assert "#captions" in {link.get("href") for link in html.all("a")}
    assert "caption-signal" in html.text


def test_runs_without_controls_have_no_such_section(captioned, page):
    build = captioned("evaluate")
    del build.document["prompt_controls"]
    assert "#captions" not in {link.get("href") for link in page(build).all("a")}


@pytest.mark.parametrize("kind", ["audit", "evaluate"])
def test_the_section_is_said_in_other_languages(captioned, kind):
    for language in ("de", "fr"):
        build = captioned(kind)
        build.run["language"] = language
        shown = render(build.write()).read_text("utf-8").partition('<section id="captions">')[2]
        assert shown and 'lang="en"' not in shown.partition("</section>")[0]
