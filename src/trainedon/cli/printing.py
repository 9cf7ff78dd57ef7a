"""What commands print of what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from trainedon import run_files
from trainedon.checks import WRONG_WAY_ROUND, says_opposite
from trainedon.cli.terminal import out_console, plain, say, say_passed

if TYPE_CHECKING:
    from trainedon.cli.catalogue import AttackCard
    from trainedon.evidence import Audit, Evaluation, PassedOver, Sweep
    from trainedon.evidence.protocol.documents import AttackEvaluation, Rate
    from trainedon.formats.run_record import ReportedEntry


# What stands beside the score of a picture.
MEANT = {
    "p": "how often chance alone gives such a score",
    "q": "of all pictures with such scores, the share due to chance",
}
# Needs of attacks that an option of the command fills.
GIVEN_BY_OPTIONS = {"shadows": "DIR", "reference": "MODEL", "control": "MODEL", "unseen": "PICTURES"}


def print_card(card: AttackCard) -> None:
    """All that one attack declares."""
    say(f"{card.name}: {card.title} ({card.paper})")
    for line in card.about.splitlines():
        say(f"  {line}".rstrip())
    say(f"needs: {', '.join(card.needs)}")
    say(f"network passes a picture: {card.passes}")
    if card.reported:
        say(f"reported: {card.reported}")
    say("parameters:" if card.parameters else "parameters: none")
    options = "".join(f" --{name} {value}" for name, value in GIVEN_BY_OPTIONS.items() if name in card.needs)
    for one in card.parameters:
        default = f"{one.default} when not given"
        if one.default is None:
            default = "an option gives it" if one.example is None else "must be given"
        say(f"  {one.name}: {one.takes}; {default}")
        if one.means:
            say(f"    {one.means[0].upper()}{one.means[1:]}")
        if one.choices:
            say(f"    one of: {', '.join(one.choices)}")
        if one.example is not None:
            say(f"    such as --attacks '{one.example}'{options}")
    if card.works_around:
        say("It works around any other attack, which stands in its parentheses: needs of that one are its own, too.")


def print_passed(passed: Sequence[PassedOver]) -> None:
    """What a run passed over in the sources of its sets."""
    sets: dict[str, list[tuple[str, int, Sequence[str]]]] = {}
    for one in passed:
        sets.setdefault(one.set, []).append((one.kind, one.n, one.names))
    for name, groups in sets.items():
        say_passed(name, groups)


def print_page(run: Path, place: object) -> None:
    """Where the page and the list of exposed pictures lie. run: on this disk. place: as the person calls it."""
    if (run / run_files.EXPOSED).exists():
        say(f"Which pictures stand out most, by whichever attack: {place}/{run_files.EXPOSED}")
    say(f"Page: {place}/{run_files.PAGE}")


def print_evaluation(document: Evaluation, run: Path) -> None:
    from trainedon.evidence.protocol.verdict import sentence
    from trainedon.formats import read_record

    record = read_record(run)
    backward = {cost.attack: cost.backward_per_picture for cost in record.costs}  # none of a table
    reported = {figures.attack: figures for figures in record.reported}
    heads = ["attack", "AUC", "ASR*", "TPR@1%", "TPR@.1%", "passes", "s/pic", *(["reported"] if reported else [])]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=head != "attack", overflow="fold")
    for attack in document.attacks:
        area = "-" if attack.auc is None else f"{attack.auc:.4f} {in_parentheses(attack.auc_ci, 3)}"
        wide = out_console.width >= 110  # a narrow terminal has no room for every interval
        rates = [_rate(attack.tpr_at_fpr.get(level), interval=wide) for level in ("0.01", "0.001")]
        passes = _number(attack.nfe_per_picture, 0)
        passes += f"+{backward[attack.repr]}" if attack.repr in backward else ""
        cells = [area, _number(attack.asr, 3), *rates, passes, _number(attack.seconds_per_picture, 3)]
        label = plain(record.labels.get(attack.repr, attack.name))
        table.add_row(label, *cells, *([_figures(reported, attack)] if reported else []))
    out_console.print(table)
    say("* best threshold picked on the same pictures: optimistic, printed because papers do")
    together = ", which hold for all of these attacks together" if len(document.attacks) > 1 else ""
    say(f"passes: forward+backward a picture; in parentheses 95 % intervals{together}")
    say("n < N: not estimable, N unseen pictures are needed")
    if reported:
        say(f"reported: AUC / ASR / TPR@1% that papers print for {record.choices.dataset}, on models of their own")
    _print_flags(document)
    say(sentence(document, record.labels))


def print_sweep(document: Sweep) -> None:
    for group in document.groups:
        say(f"{group.title}: {group.question}")
        table = Table(box=None, padding=(0, 1, 0, 0))
        for head in ("", *map(plain, group.varied), "AUC", "TPR@1%", "passes"):
            table.add_column(head, no_wrap=head in ("", "AUC", "TPR@1%", "passes"), overflow="fold")
        for i, point in enumerate(group.points):
            area = "-" if point.auc is None else f"{point.auc:.4f} {in_parentheses(point.auc_ci, 3)}"
            setting = [plain(_value(point.setting[name])) for name in group.varied]
            passes = "-" if point.passes is None else str(point.passes)
            table.add_row("*" if i == group.best else "", *setting, area, _number(point.tpr_1, 3), passes)
        out_console.print(table)
        say(group.sentence)
        say("")
    for note in document.notes:
        say(f"note: {note}")
    say("* highest AUC; in parentheses 95 % intervals, each for one setting alone; passes: forward + 2 x backward")


def _value(value: object) -> str:
    """As `--vary` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _figures(reported: Mapping[str, ReportedEntry], attack: AttackEvaluation) -> str:
    figures = reported.get(attack.repr)
    if figures is None:
        return "-"
    return " / ".join(_number(value, 3) for value in (figures.auc, figures.asr, figures.tpr_1))


def print_audit(document: Audit) -> None:
    rows = document.pictures[:12]
    columns = {
        "score": [row.score for row in rows],
        "p": [row.p_value for row in rows],
        "q": [row.q_value for row in rows],
    }
    # without unseen pictures nothing has a p-value, and a column of dashes says nothing
    heads = ["score", *(head for head in ("p", "q") if any(value is not None for value in columns[head]))]
    table = Table("picture", *heads, box=None, padding=(0, 2, 0, 0))
    for at, row in enumerate(rows):
        table.add_row(plain(row.picture), *(_number(columns[head][at], 4) for head in heads))
    out_console.print(table)
    if heads[1:]:
        say("; ".join(f"{head}: {MEANT[head]}" for head in heads[1:]))
    if len(document.pictures) > 12:
        besides = f", and {document.n_not_listed} others in scores.parquet" if document.n_not_listed else ""
        say(f"... and {len(document.pictures) - 12} more, in audit.json{besides}")
    if document.twins is not None:
        test = document.twins
        ahead = f"{test.n_first} of {test.n} pictures ({test.expected_first:.1f} by chance)"
        bound = f", epsilon at least {test.one_run.epsilon:.2f}" if test.one_run else ""
        say(f"Published copies ahead of all kept ones: {ahead}, p {_p_value(test.p_value)}{bound}")
    if document.by_mirror and document.mirror is not None:
        from trainedon.evidence.protocol.claims import VIEWS

        signs = document.mirror
        say(
            f"All suspects together: {signs.n_positive} of {signs.n} ahead of their {VIEWS[signs.view]}, p "
            f"{_p_value(signs.p_value_holm)} at odds of {signs.odds:.3g} to 1 "
            f"(chance may put a picture ahead {signs.odds:.3g} times as often as behind)"
        )
    else:
        _print_set(document)
    _print_flags(document)
    say(f"Claim level {document.claim.grade}: {document.claim.sentence}")


def _print_set(document: Audit) -> None:
    """The test that the claim speaks of, suspects against unseen pictures."""
    led_by = document.cdi if document.lead == "cdi" else document.set
    if led_by is None or led_by.effect is None:
        return
    area, p = f"{led_by.effect:.4f} {in_parentheses(led_by.effect_ci, 3)}", led_by.p_value_holm
    by_all = ", by all attacks (CDI)" if document.lead == "cdi" else ""
    corrected = " (corrected for all tests)" if p != led_by.p_value else ""
    say(f"All suspects together{by_all}: AUC {area}, p {_p_value(p)}{corrected}")


def _print_flags(document: Audit | Evaluation) -> None:
    from trainedon.evidence.protocol.detectable import could_not_fail

    controls: dict[tuple[str, str], list[str]] = {}
    for one in document.prompt_controls:
        area = "-" if one.auc is None else f"{one.auc:.4f} {in_parentheses(one.auc_ci, 3)}"
        controls.setdefault((one.of, one.attack), []).append(f"{one.captions} {area}")
    for (_, attack), areas in controls.items():
        say(f"AUC of {attack} with other captions: {', '.join(areas)}")
    for where, found in (("the control model", document.control_models), ("mirrored pictures", document.sensitivity)):
        for control in (one for one in found if one.effect is not None):
            area = f"{control.effect:.4f} {in_parentheses(control.effect_ci, 3)}"
            left = f"{_number(control.left, 4)}, p {_p_value(control.left_p_value)}"
            few = "; too few pictures to say" if control.finds is False and could_not_fail(control.detectable) else ""
            say(f"AUC of {control.attack} on {where}: {area}, p {_p_value(control.p_value)}; beyond it {left}{few}")
    for question in _too_few(document):
        say(f"too few pictures to say {question}")
    for flag in document.flags:
        say(f"flag {flag.code}: {flag.raised_because}")
    if says_opposite(document.flags):
        say(f"note: {WRONG_WAY_ROUND}")


def _too_few(document: Audit | Evaluation) -> list[str]:
    """Which questions of controls so few pictures leave open, although nothing was found."""
    from trainedon.evidence import Audit
    from trainedon.evidence.protocol.detectable import could_not_fail
    from trainedon.evidence.protocol.obstacles import too_few_handed

    if isinstance(document, Audit) and document.by_mirror:
        handed = document.chirality
        few = handed is not None and too_few_handed(handed)
        return ["whether they can be told from their mirror images without the model"] if few else []
    if isinstance(document, Audit) and document.twins is not None:
        return []
    blind, unseen = document.blind, document.attacks[0].unseen_control
    told = []
    if blind.separates is False and could_not_fail(blind.detectable):
        told.append("whether the sets can be told apart without the model")
    if unseen.finds is False and could_not_fail(unseen.detectable):
        told.append("whether unseen pictures differ from unseen pictures")
    return told


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _p_value(p: float | None) -> str:
    return "-" if p is None else f"{p:.2g}"


def _rate(rate: Rate | None, *, interval: bool) -> str:
    if rate is None or not rate.estimable:
        return "-" if rate is None else f"n < {rate.needed}"
    return f"{rate.tpr:.3f} {in_parentheses(rate.tpr_ci, 2)}" if interval else f"{rate.tpr:.3f}"


def in_parentheses(bounds: tuple[float, float] | None, digits: int) -> str:
    return "" if bounds is None else f"({bounds[0]:.{digits}f} to {bounds[1]:.{digits}f})"
