"""The page: one template, one style sheet, one file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainedon import run_files
from trainedon.evidence import Audit, Evaluation
from trainedon.evidence.protocol.documents import OneRun
from trainedon.files import write_text
from trainedon.redact import clean
from trainedon.reporting import attack_table, mirror_words, sections, words
from trainedon.reporting.agreement_section import agreement
from trainedon.reporting.annex import annex
from trainedon.reporting.captions_section import captions
from trainedon.reporting.cards import Cards
from trainedon.reporting.control_table import controls, doubt
from trainedon.reporting.languages import translated
from trainedon.reporting.peaks_section import PeaksSection, peaks
from trainedon.reporting.readings import FOUND, claimed, readings, tests_made
from trainedon.reporting.run_folder import DOCUMENTS, RunFolder, read
from trainedon.reporting.summary import summary
from trainedon.reporting.sweep_section import SweepSection, sweep
from trainedon.reporting.twins_section import twins_section

# An audit is about its pictures; an evaluation compares attacks.
BODIES = {
    "audit": ("pictures.html.j2", "scores.html.j2", "captions.html.j2"),
    "evaluate": (
        "peaks.html.j2",
        "sweep.html.j2",
        "scores.html.j2",
        "captions.html.j2",
        "agreement.html.j2",
        "pictures.html.j2",
    ),
}

# What a page in another language says of what is left in English, which the style sheet marks with EN.
ENGLISH = {
    "de": "Auf Englisch bleibt, was mit EN gekennzeichnet ist: jeder Absatz, von dem ein Satz nicht übersetzt ist. "
    "Maßgeblich ist die englische Fassung.",
    "fr": "Reste en anglais ce qui porte la marque EN : tout paragraphe dont une phrase n’est pas traduite. La version "
    "anglaise fait foi.",
}
MANY = 6  # attacks; above this their table stays a table on a phone, and is scrolled sideways


def render(run: Path, document: Audit | Evaluation | None = None) -> Path:
    """Write `RUN/report.html` from what the run folder holds and return its path.

    Reads run.json, audit.json or evaluation.json, scores.parquet and, where they exist, pictures.parquet, restored/
    and truth.json. `document`: what audit.json or evaluation.json holds, where that is known and need not be read.
    The file is replaced whole or not at all. The same folder gives the same bytes.
    Raises UserError when `run` is not a run folder or its statistics or scores are missing or damaged.
    """
    folder = read(Path(run), document)
    target = folder.path / run_files.PAGE
    write_text(target, page(folder))
    return target


def page(run: RunFolder) -> str:
    """The whole page as text."""
    css, script = _part("report.css"), _part("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    template = _environment().get_template("report.html.j2")
    language = run.record.language
    english = Markup(' lang="en" translate="no"' if language != "en" else "")
    texts = {"css": Markup(css), "script": Markup(script), "policy": Markup(policy)}
    made = template.render(**texts, language=language, english=english, note=ENGLISH.get(language), **context(run))
    return made if language == "en" else translated(made, language)


def _part(name: str) -> str:
    return resources.files("trainedon.reporting").joinpath(f"templates/{name}").read_text("utf-8")


def script_digest() -> str:
    """Of the one script of the page, as a content security policy names it."""
    return _digest(_part("report.js"))


def _digest(text: str) -> str:
    """By which the policy of the page allows this text and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def context(run: RunFolder) -> dict[str, Any]:
    """Everything that the template shows."""
    cards, audit = Cards(run), run.document if isinstance(run.document, Audit) else None
    purpose, found, made = sections.purpose(run), (peaks(run), sweep(run)), controls(run)
    first, rest = claimed(audit) if audit else ("", "")
    mosaic = any(kept.mosaic for kept in cards.kept.values())
    return {
        "kind": run.kind,
        "body": BODIES[run.kind],
        "asked": words.SETS[run.asked],
        "called": purpose if purpose in ("sweep", "peaks") else words.KINDS[run.kind],
        "question": words.QUESTIONS[purpose],
        "claim": audit and audit.claim,
        "claim_first": first,
        "claim_rest": rest,
        "ladder": mirror_words.ladder(words.LADDER) if audit and audit.by_mirror else words.LADDER,
        "grades": [f"{level}m" if audit and audit.by_mirror and level == 3 else level for level in range(5)],
        "views": mirror_words.VIEW,
        "together": _together(audit) if audit else "",
        "mirror": audit.mirror if audit and audit.by_mirror else None,
        "readings": readings(run),
        "controls": made,
        "doubt": doubt(made) if audit and audit.claim.level < FOUND else "",
        "answers": answers(*found),
        "verdict": sections.verdict(run),
        "leaks": words.leaks(_bound(run.document)),
        "twins": twins_section(run.document),
        "headline": sections.headline(run),
        "facts": sections.facts(run),
        "sets": sections.sets(run),
        "excluded": sections.excluded(run),
        "passed_over": sections.passed_over(run),
        "flags": sections.flags(run),
        "restores": run.showing.explained if run.showing else None,
        "for_the_eye": _for_the_eye(run),
        "mosaic": mosaic,
        "hidden_besides": any(kept.region is not None for kept in cards.kept.values()),
        "painted": attack_table.painted(run, mosaic),
        "guesses": any(kept.has_guesses for kept in cards.kept.values()),
        "leading": attack_table.entries(run)[0].label,
        "strongest": attack_table.strongest(run).label,
        "led_by_another": run.kind == "evaluate" and attack_table.strongest(run).attack is not run.attacks[0],
        "example": cards.example(),
        "strip": cards.strip,
        "every": cards.table(),
        "summary": summary(run, cards),
        "annex": annex(run, made),
        "beside": [run_files.SCORES_SHEET, run_files.SCORES],
        "exposed": run_files.EXPOSED if run.lists_exposed else None,
        "groups": cards.groups(),
        "truth": cards.truth_table(),
        "level": cards.level,
        "has_verdicts": cards.has_verdicts,
        "n_unseen": len(run.attacks[0].unseen),
        "histograms": sections.histograms(run),
        "rocs": sections.rocs(run),
        "heads": attack_table.heads(run),
        "many": MANY,
        "attacks": attack_table.table(run),
        "papers": attack_table.papers(run),
        "agreement": None if run.record.sweep else agreement(run),  # settings of one attack agree anyway
        "captions": captions(run),
        "peaks": found[0],
        "sweep": found[1],
        **_record(run),
    }


def answers(peaks: PeaksSection | None, sweep: SweepSection | None) -> list[str]:
    """What a run that was made for a question of its own answers, before anything else."""
    if peaks is not None:
        return [peaks.sentence]
    return [f"{one.title}: {one.sentence}" for one in sweep.sections] if sweep is not None else []


def _together(audit: Audit) -> str:
    """What the test of the claim found, of all suspects."""
    if not audit.by_mirror:
        return words.together(audit.set, tests_made(audit))
    return "" if audit.mirror is None else mirror_words.together(audit.mirror, tests_made(audit))


def _for_the_eye(run: RunFolder) -> bool:
    """Whether the pictures show what no score is made of: those of the first attack that has any to show."""
    return (
        run.showing is not None
        and run.showing.declared.shown_as == "noised"
        and (run.path / run_files.RESTORED).is_dir()
    )


def _bound(document: Audit | Evaluation) -> OneRun | None:
    """The lower bound on epsilon of the first attack of an evaluation."""
    return document.attacks[0].one_run if isinstance(document, Evaluation) else None


def _record(run: RunFolder) -> dict[str, Any]:
    """What the last section shows, and what the program wrote about itself."""
    record = run.record
    return {
        "choices": sections.choices(run),
        "inputs": sections.inputs(run),
        "notes": record.notes,
        "command": record.command,
        "versions": words.flat(record.versions),
        "protocol": run.document.protocol,
        "attribution": record.attribution,
        "version": record.versions.get("trainedon") or _version(),
        "document_name": DOCUMENTS[run.kind],
        "has_restored": (run.path / run_files.RESTORED).is_dir(),
    }


@cache
def _environment() -> Environment:
    """One for all pages: compiling the templates takes most of the time of a page."""
    environment = Environment(
        loader=PackageLoader("trainedon.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"words": words, "english": ""}  # which marks what stays so on a page in another language
    return environment


def _printed(value: Any) -> Any:
    """What an expression of the template prints: never None, never a character that hides or reorders others."""
    if value is None:
        return "—"
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _version() -> str:
    try:
        return metadata.version("trainedon")
    except metadata.PackageNotFoundError:
        return "not installed"
