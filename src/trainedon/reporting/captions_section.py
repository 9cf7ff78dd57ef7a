"""The section on captions: every attack with the right ones, and with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainedon.evidence.protocol.documents import AttackAudit, AuditPromptControl, PromptControl
from trainedon.formats.other_captions import CONTROLS
from trainedon.reporting import words
from trainedon.reporting.attack_table import Cell, TableEntry, ranked
from trainedon.reporting.run_folder import RunFolder


@dataclass(frozen=True)
class CaptionLine:
    """One attack: its AUC with the right captions, with one caption for all, and with those of other pictures."""

    label: str
    cells: tuple[Cell, ...]
    finds: bool  # whether it tells the sets apart with the right captions
    hangs: bool  # and with no others


@dataclass(frozen=True)
class CaptionsSection:
    """What the section shows."""

    lines: tuple[CaptionLine, ...]
    sentence: str


def captions(run: RunFolder) -> CaptionsSection | None:
    """The section, or None for a run without such controls."""
    known = {(one.of, one.captions): one for one in run.document.prompt_controls}
    lines = []
    for entry in ranked(run):
        others = [known.get((entry.attack.repr, kind)) for kind in CONTROLS]
        if any(others):
            finds = entry.auc_ci is not None and entry.auc_ci[0] > 0.5
            cells = (_right(entry), *map(_other, others))
            lines.append(CaptionLine(entry.label, cells, finds, finds and all(one.gone for one in others if one)))
    return CaptionsSection(tuple(lines), _sentence(lines)) if lines else None


def _right(entry: TableEntry) -> Cell:
    p_value = entry.found.set.p_value if isinstance(entry.found, AttackAudit) else None
    return _cell(entry.auc, entry.auc_ci, p_value)


def _other(one: PromptControl | None) -> Cell:
    if one is None:
        return _cell(None, None, None)
    return _cell(one.auc, one.auc_ci, one.p_value if isinstance(one, AuditPromptControl) else None)


def _cell(auc: float | None, bounds: words.Bounds | None, p_value: float | None) -> Cell:
    small = [words.interval(bounds)] if bounds else []
    small += [f"p = {words.p_value(p_value)}"] if p_value is not None else []
    return Cell(words.number(auc), tuple(small))


def _sentence(lines: Sequence[CaptionLine]) -> str:
    hanging = [line.label for line in lines if line.hangs]
    if not any(line.finds for line in lines):
        return "Even with the right words no attack tells the pictures apart: the wrong ones have nothing to take away."
    if not hanging:
        return "What was found does not hang on the captions alone: with the wrong words it is not gone."
    others = " Other attacks still can." if any(line.finds and not line.hangs for line in lines) else ""
    return (
        f"With the wrong words {', '.join(hanging)} can no longer tell the pictures apart: what was found so hangs on "
        f"the captions, and says nothing of the pictures by themselves.{others}"
    )
