"""Flags: what a reader must know before using the numbers.

Each has a code, the reason it was raised, what that means and what to do (the manner of AutoAttack, Croce & Hein,
arXiv 2003.01690). `flag_words.py` holds the words, the functions here the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from trainedon.evidence.protocol.blind import CAPTIONS, Findings
from trainedon.evidence.protocol.claims import is_found
from trainedon.evidence.protocol.documents import (
    AttackAudit,
    AttackEvaluation,
    Blind,
    BlindView,
    Cdi,
    Chirality,
    ConditioningControl,
    Duplicates,
    Flag,
    MirrorTest,
    PromptControl,
    SourceEvidence,
)
from trainedon.evidence.protocol.flag_words import flag
from trainedon.evidence.protocol.passed import PassedOver, passed_over
from trainedon.evidence.statistics import thresholds
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.mirrored_copies import mirrored_by_exif
from trainedon.evidence.table.picture_table import PictureTable
from trainedon.evidence.table.rows import Rows
from trainedon.evidence.table.scores import Scores, count_reasons, is_duplicate
from trainedon.formats.run_record import ListedEntry, RenderingEntry

FEW_FOR_RATES = thresholds.unseen_needed("0.01")  # 299
MANY_TIES = 0.1  # share of all pictures
FEW_FOR_P_VALUES = 99  # 1 / (1 + 99) is the first conformal p-value to reach 0.01


def of_evaluation(attacks: Sequence[AttackEvaluation]) -> list[Flag]:
    """Flags about the attacks of an evaluation."""
    flags = []
    unseen = min(attack.n_unseen for attack in attacks)
    if unseen < FEW_FOR_RATES:
        because = f"Unseen pictures scored: {unseen}; a false-positive rate of 1 % needs {FEW_FOR_RATES}."
        flags.append(flag("few-unseen", because))
    flags += _of_attacks(attacks, [attack.n_members for attack in attacks])
    return flags + _below_chance((attack.name, attack.auc_ci) for attack in attacks)


OF_UNSEEN = ("no-unseen", "few-unseen", "blind-baseline-not-run")  # say nothing where no unseen pictures are needed


def of_audit(attacks: Sequence[AttackAudit], together: Cdi | None, given_unseen: bool) -> list[Flag]:
    """Flags about the tests of an audit; `together` is the one of all attacks."""
    flags = []
    unseen = min(attack.n_unseen for attack in attacks)
    if not given_unseen:
        flags.append(flag("no-unseen", "No unseen pictures were given."))
    elif unseen < FEW_FOR_P_VALUES:
        because = f"Unseen pictures scored: {unseen}; a p-value of 0.01 for one picture needs {FEW_FOR_P_VALUES}."
        flags.append(flag("few-unseen", because))
    flags += _of_attacks(attacks, [attack.n_suspects for attack in attacks])
    flags += _below_chance((attack.name, attack.set.effect_ci) for attack in attacks)
    if len(attacks) > 1:
        also = " and all of them together (CDI)" if together else ""
        flags.append(flag("multiple-attacks", f"Attacks tried: {len(attacks)}{also}."))
    tests = [(attack.name, attack.set) for attack in attacks] + ([("cdi", together)] if together else [])
    found = [name for name, test in tests if is_found(test)]
    if 0 < len(found) < len(tests):
        because = f"Of {len(tests)} tests, these found a difference: {', '.join(found)}."
        flags.append(flag("attacks-disagree", because))
    return flags


def of_mirror(
    attacks: Sequence[AttackAudit],
    together: MirrorTest | None,
    handed: Chirality | None,
    listed: PictureTable | None,
    by_jpeg: int,
) -> list[Flag]:
    """Flags about pictures that are compared with views of themselves. together: the test of all attacks. listed: the
    inventory. by_jpeg: how many suspects JPEG's grid sets apart from their mirror images."""
    flags = []
    by_exif = 0 if listed is None else mirrored_by_exif(listed)
    if by_exif:
        flags.append(flag("mirrored-by-exif", f"Suspects that EXIF mirrors: {by_exif}."))
    if by_jpeg and any(one.mirror is not None and one.mirror.view == "mirror" for one in attacks):
        because = f"JPEG files of a width that 8 does not divide, read at more than half their size: {by_jpeg}."
        flags.append(flag("handed-by-jpeg", because))
    if handed is not None and handed.finds:
        best = min(handed.views, key=lambda view: (view.p_value, -view.share))
        because = (
            f"Without the model the pictures can be told from their mirror images by {best.name}: "
            f"{best.share:.0%} told right, p = {handed.p_value:.2g}."
        )
        flags.append(flag("told-from-mirror", because))
    tests = [(attack.name, attack.mirror) for attack in attacks if attack.mirror is not None]
    for name, test in tests:
        if test.share_ci[1] < 0.5:
            because = f"{name}: {test.n_positive} of {test.n} pictures are ahead of their mirror images."
            flags.append(flag("behind-mirror", because))
    if together is not None:
        tests.append(("cdi", together))
        also = "and all of them together (CDI)"
        flags.append(flag("multiple-attacks", f"Attacks tried: {len(tests) - 1} {also}."))
    found = [name for name, test in tests if test.finds]
    if 0 < len(found) < len(tests):
        because = f"Of {len(tests)} tests, these found a difference: {', '.join(found)}."
        flags.append(flag("attacks-disagree", because))
    return flags


def _of_attacks(attacks: Sequence[AttackAudit | AttackEvaluation], asked: Sequence[int]) -> list[Flag]:
    """Flags about the scores of each attack; `asked` counts its suspects or members."""
    flags = []
    for attack, n in zip(attacks, asked, strict=True):
        if attack.unseen_control.finds:
            p = attack.unseen_control.p_value
            flags.append(flag("unseen-differ", f"{attack.name}: unseen pictures against unseen ones, p = {p:.2g}."))
        if attack.n_tied > MANY_TIES * (n + attack.n_unseen):
            because = f"{attack.name} gave {attack.n_tied} pictures a score that also occurs in the other set."
            flags.append(flag("ties", because))
    return flags


def of_duplicates(copies: Duplicates) -> list[Flag]:
    """Flags about pictures that another one stands for."""
    flags = []
    if copies.n_near:
        flags.append(flag("near-duplicates", f"Pictures that look like another one and do not count: {copies.n_near}."))
    if copies.n_across:
        because = f"Groups of pictures that look alike and lie in both sets: {copies.n_across}."
        flags.append(flag("near-duplicates-across", because))
    if not copies.sought:
        flags.append(
            flag("near-duplicates-not-sought", "No picture has a perceptual hash, and no column says what looks alike.")
        )
    return flags


def of_captions(listed: PictureTable | None, sets: Sequence[str]) -> list[Flag]:
    """Flags about pictures without a caption, of a model that is conditioned on captions."""
    if listed is None:
        return []
    used, told = listed.usable, listed.has_text("caption")
    counted = [(name, used & listed.in_sets([name])) for name in sets]
    if all(told[among].all() for _, among in counted):
        return []
    because = ", ".join(f"{(~told & among).sum()} of {among.sum()} ({name})" for name, among in counted)
    return [flag("captions-missing", f"Pictures without a caption: {because}.")]


def of_conditioning(control: ConditioningControl | None) -> list[Flag]:
    """A flag where the model was not conditioned alike about both sets."""
    if control is None or not control.differs:
        return []
    because = str(control.because)
    return [flag("asked-differently", f"{because[0].upper()}{because[1:]}.")]


def of_pixels(listed: PictureTable | None, sets: Sequence[str], rendering: RenderingEntry | None) -> list[Flag]:
    """Flags about pictures that can be read in several ways, where nobody said which. rendering: that of `run.json`;
    None in runs of earlier versions."""
    if listed is None or rendering is None:
        return []
    used = listed.usable
    because: dict[str, list[str]] = {}
    for question, answer in rendering.asked.items():
        affected = used & _READ_IN_SEVERAL_WAYS[question](listed.numbers(question))
        counts = [(name, listed.in_sets([name]) & used) for name in sets]
        told = ", ".join(f"{(affected & among).sum()} of {among.sum()} ({name})" for name, among in counts)
        how = answer.chosen or f"not to be told, so {getattr(rendering, question)}"
        code = "pixels-chosen" if answer.chosen else "pixels-uncertain"
        kind = "with transparency" if question == "alpha" else "that EXIF turns"
        because.setdefault(code, []).append(f"Pictures {kind}: {told}; {question}: {how}.")
    return [flag(code, " ".join(sentences)) for code, sentences in because.items()]


_READ_IN_SEVERAL_WAYS = {"alpha": lambda told: told == 1, "orientation": lambda told: told > 1}


def of_model(distilled: str | None) -> list[Flag]:
    """Flags about the model itself. distilled: why it is taken for a few-step student, as a clause."""
    if distilled is None:
        return []
    return [flag("distilled", f"The model seems to be distilled to few steps: {distilled}.")]


def _below_chance(intervals: Iterable[tuple[str, tuple[float, float] | None]]) -> list[Flag]:
    return [
        flag("attack-below-chance", f"The AUC of {name} lies between {ci[0]:.2f} and {ci[1]:.2f}, wholly below 0.5.")
        for name, ci in intervals
        if ci is not None and ci[1] < 0.5
    ]


def of_controls(findings: Findings) -> list[Flag]:
    """Flags about what the two sets look like without the model."""
    flags, blind = [], findings.blind
    if blind.separates:
        told = [view for view in blind.views if view.p_value < blind.level]
        flags += _separating(blind, "blind-baseline-separates", [view for view in told if view.name not in CAPTIONS])
        flags += _separating(blind, "captions-differ", [view for view in told if view.name in CAPTIONS])
    if blind.separates is None:
        flags.append(flag("blind-baseline-not-run", f"The blind baseline was not run: {blind.reason}."))
    if findings.codec:
        flags.append(flag("codec-mismatch", f"The sets differ in file format: {findings.codec}."))
    if findings.resolution:
        flags.append(flag("resolution-mismatch", f"The sets differ in size: {findings.resolution}."))
    return flags


def _separating(blind: Blind, code: str, views: Sequence[BlindView]) -> list[Flag]:
    """A flag about the one of these views that separates best, if any does; the p-value is that of all."""
    if not views:
        return []
    best = min(views, key=lambda view: (view.p_value, -view.auc))
    because = (
        f"Without the model the sets can be told apart by {best.name}: AUC {best.auc:.2f}, p = {blind.p_value:.2g}."
    )
    return [flag(code, because)]


def of_prompts(intervals: Mapping[str, tuple[float, float] | None], controls: Sequence[PromptControl]) -> list[Flag]:
    """Flags about attacks whose signal hangs on the right captions. intervals: of the AUC, by the attack's repr.

    Raised when the interval lies above 0.5, and the signal is gone under every control.
    """
    flags = []
    for name, ci in intervals.items():
        own = [control for control in controls if control.of == name]
        if own and ci is not None and ci[0] > 0.5 and all(control.gone for control in own):
            areas = ", ".join(f"{control.auc:.2f} with {control.captions} ones" for control in own)
            because = f"{own[0].attack}: the AUC is above 0.5 with the right captions, and {areas}."
            flags.append(flag("caption-signal", because))
    return flags


def of_inputs(scores: Scores, listed: PictureTable | None, sets: Sequence[str]) -> list[Flag]:
    """Flags about pictures that do not count. `scores` already joined to the inventory, `listed`."""
    flags = []
    columns = scores.columns
    unscored, copy = ~np.isfinite(columns.score), _copies(columns.reasons)[columns.reason]
    excluded = np.zeros(len(scores), dtype=bool)
    if listed is not None:
        n, left_out, excluded = _excluded(scores, listed, sets)
        if left_out:
            flags.append(flag("excluded-pictures", f"Of {n} pictures {left_out} could not be used."))
        flags += _of_passed(passed_over(listed.source, sets))
    copies = np.flatnonzero(unscored & copy)
    if len(copies):
        n = len(np.unique(np.stack([columns.set[copies], columns.picture[copies]]), axis=1).T)
        flags.append(flag("duplicates", f"Exact copies of other pictures: {n}."))
    for attack in scores.attacks:
        rows = scores.of_attack(attack).indices
        failed = Rows(columns, rows[(unscored & ~copy & ~excluded)[rows]])
        if failed:
            because = (
                f"{attack.name} left {len(failed)} without a score, most often because {count_reasons(failed)[0][0]}."
            )
            flags.append(flag("not-scored", because))
    return flags


def of_sources(sources: SourceEvidence | None) -> list[Flag]:
    """The flag about scores that depend on whose work a picture is."""
    if sources is None:
        return []
    how = {"between": "Whole sources were dealt", "within": "Pictures were dealt within their source"}[sources.by]
    because = (
        f"{how}: suspects of {sources.n_suspect_sources}, unseen pictures of {sources.n_unseen_sources}, "
        f"intra-class correlation {sources.intraclass:.2f}."
    )
    return [flag("dealt-by-source", because)]


def of_listing(listed: ListedEntry | None) -> list[Flag]:
    """Flags about what earlier runs on the model had scored of the suspects."""
    raised = []
    if listed and listed.kept and listed.left_out:
        because = (
            f"Suspects that earlier runs without a finding scored: {listed.kept}; others that the same runs scored and "
            f"that are not asked about here: {listed.left_out}."
        )
        raised.append(flag("chosen-after-scoring", because))
    if listed and listed.asked:
        raised.append(flag("asked-before", f"Earlier runs that asked about more than half of them: {listed.asked}."))
    return raised


def of_added(attacks: Sequence[AttackAudit | AttackEvaluation], added: Mapping[str, str]) -> list[Flag]:
    """A flag about attacks, repr -> short name, that were chosen when the scores of the others could be seen."""
    names = [added[attack.repr] for attack in attacks if attack.repr in added]
    return [flag("attacks-added", f"Added to a run that was complete: {', '.join(names)}.")] if names else []


def _of_passed(found: Sequence[PassedOver]) -> list[Flag]:
    """The flag about files that may hold pictures and were passed over, if there are any."""
    told: dict[str, list[str]] = {}
    for one in found:
        if one.remedy:
            told.setdefault(one.set, []).append(f"{one.n} {one.kind} ({one.remedy})")
    if not told:
        return []
    sets = "; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in told.items())
    return [flag("passed-over", f"Files that may hold pictures were passed over. {sets[0].upper()}{sets[1:]}.")]


def _excluded(scores: Scores, listed: PictureTable, sets: Sequence[str]) -> tuple[int, int, np.ndarray]:
    """How many pictures are listed, how many of them were to be left out for no copies, and which rows these are."""
    places = np.flatnonzero(listed.in_sets(sets))
    places = np.unique(listed.rows_of(listed.set[places], listed.picture[places]))
    out = np.zeros(len(listed) + 1, dtype=bool)  # the last is for rows that are not listed
    out[places] = (listed.reason[places] != MISSING) & ~_copies(listed.reasons)[listed.reason[places]]
    columns = scores.columns
    return len(places), int(out.sum()), out[listed.rows_of(columns.set, columns.picture)]


def _copies(reasons: Sequence[str]) -> np.ndarray:
    """Which reasons say that a picture is a copy: bool, and False at the last place, for no reason."""
    return np.array([*map(is_duplicate, reasons), False])
