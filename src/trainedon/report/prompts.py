"""The section on captions: every attack with the right ones, and with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainedon.report import words
from trainedon.report.attacks import Cell, ranked
from trainedon.report.folder import RunFolder

KINDS = ("fixed", "shuffled")


@dataclass(frozen=True)
class Line:
    """One attack: its AUC with the right captions, with one caption for all, and with those of other pictures."""

    label: str
    cells: tuple[Cell, ...]
    finds: bool  # whether it tells the sets apart with the right captions
    hangs: bool  # and with no others


@dataclass(frozen=True)
class Prompts:
    """What the section shows."""

    lines: tuple[Line, ...]
    sentence: str


def prompts(run: RunFolder) -> Prompts | None:
    """The section, or None for a run without such controls."""
    known = {(one.get("of"), one.get("captions")): one for one in run.document.get("prompt_controls") or []}
    lines = []
    for entry in ranked(run):
        others = [known.get((entry.attack.repr, kind)) or {} for kind in KINDS]
        if any(others):
            right = _right(run.kind, entry.found)
            finds = right["auc_ci"] is not None and right["auc_ci"][0] > 0.5
            cells = tuple(map(_cell, (right, *others)))
            lines.append(Line(entry.label, cells, finds, finds and all(one["gone"] for one in others if one)))
    return Prompts(tuple(lines), _sentence(lines)) if lines else None


def _right(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    test = found.get("set") or {}
    if kind == "evaluate":
        return {"auc": found.get("auc"), "auc_ci": found.get("auc_ci")}
    return {"auc": test.get("effect"), "auc_ci": test.get("effect_ci"), "p_value": test.get("p_value")}


def _cell(one: Mapping[str, Any]) -> Cell:
    small = [words.interval(one["auc_ci"])] if one.get("auc_ci") else []
    small += [f"p = {words.p_value(one['p_value'])}"] if one.get("p_value") is not None else []
    return Cell(words.number(one.get("auc")), tuple(small))


def _sentence(lines: list[Line]) -> str:
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
