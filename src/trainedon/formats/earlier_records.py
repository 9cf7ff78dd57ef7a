"""What records of earlier versions do not say, read off what they do say."""

from __future__ import annotations

from typing import get_args

from trainedon.formats.null_view import NullView
from trainedon.formats.run_record import DeclaredEntry, RunRecord

# The attacks of version 1 that showed pictures, and what they are called since.
DRC = ("drc", "drc@1", "drc@2", "drc-fast", "drc-hide", "drc-latent", "drc-paper")


def declared(record: RunRecord, name: str, attack: str) -> DeclaredEntry:
    """What an attack declares of its scores. name: its name. attack: its repr, from which version 1 leaves it to be
    told."""
    if record.declared is not None:
        return record.declared.get(attack, DeclaredEntry())
    return read_off(name, attack) or DeclaredEntry()


def read_off(name: str, attack: str) -> DeclaredEntry | None:
    """What the repr of an attack of ours tells of its scores; None of an attack that it tells nothing of."""
    if name not in DRC:
        return None
    return DeclaredEntry(
        shown_as="noised" if "Diffuse(" in attack or "Fade(" in attack else "hidden",
        relative_to="self" if "symmetries=" in attack and "symmetries=()" not in attack else None,
        null_view=null_view_of(attack),
    )


def null_view_of(attack: str) -> NullView | None:
    """The one view whose whole score an attack of ours takes off, by its repr. What stands inside another one does not
    count."""
    views: tuple[NullView, ...] = get_args(NullView)
    if attack.startswith("SymmetryCalibrated("):
        return next((view for view in views if attack.endswith(f", symmetries=('{view}',))")), None)
    if not attack.startswith("DRC") or "share=1.0" not in attack:
        return None
    return next((view for view in views if f"symmetries=('{view}',)" in attack), None)
