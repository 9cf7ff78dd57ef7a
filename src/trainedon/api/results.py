"""What the front door gives back: the documents of a run, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import PrivateAttr

from trainedon import run_files
from trainedon.evidence import Audit, Document, Evaluation, PassedOver, Peaks, Sweep, passed_over
from trainedon.formats import read_record

R = TypeVar("R", bound="FromRun")
S = TypeVar("S", bound="Study")


@dataclass(frozen=True)
class Kept:
    """What a document knows of its run. folder: on this disk; None where nothing was kept. page: then its HTML."""

    folder: Path | None
    page: str | None = None
    notes: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    @classmethod
    def of(cls, run: Path, *, stays: bool = True) -> Kept:
        """Of the run folder `run`. stays: whether it is still there when this returns to the person."""
        pictures = run / run_files.PICTURES
        return cls(
            run if stays else None,
            None if stays else (run / run_files.PAGE).read_text("utf-8"),
            tuple(read_record(run).notes),
            tuple(passed_over(pictures)) if pictures.is_file() else (),
        )


class FromRun(Document):
    """A document that knows its run."""

    _kept: Kept = PrivateAttr(default=Kept(None))

    @property
    def folder(self) -> Path | None:
        """The run folder on this disk; None where `out` was None, and nothing was kept."""
        return self._kept.folder

    @property
    def page(self) -> str:
        """The page for people, HTML with all pictures in it."""
        if self._kept.page is not None:
            return self._kept.page
        if self._kept.folder is None:
            raise ValueError("this document belongs to no run")
        return (self._kept.folder / run_files.PAGE).read_text("utf-8")

    @property
    def run_notes(self) -> tuple[str, ...]:
        """What the run assumed, in sentences, such as how pictures were read; the `notes` of `run.json`."""
        return self._kept.notes

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """What lay among the pictures and was not used, by set and kind."""
        return self._kept.passed_over


class AuditRun(FromRun, Audit):
    """An `Audit`, and its run."""

    @property
    def named(self) -> tuple[str, ...]:
        """Suspects that stand out: all whose q-value is at most `false_discovery_rate`, the highest score first."""
        rate = self.false_discovery_rate
        return tuple(one.picture for one in self.pictures if one.q_value is not None and one.q_value <= rate)


class EvaluationRun(FromRun, Evaluation):
    """An `Evaluation`, and its run."""


class Study(FromRun):
    """A document that says what an evaluation means for a question."""

    _evaluation: Evaluation | None = PrivateAttr(default=None)

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of its attacks."""
        if self._evaluation is None:
            raise ValueError("this document belongs to no run")
        return self._evaluation


class PeaksRun(Study, Peaks):
    """`Peaks`, the evaluation of its measurements, and the run."""


class SweepRun(Study, Sweep):
    """A `Sweep`, the evaluation of its settings, and the run."""


def of_run(kind: type[R], document: Document, kept: Kept) -> R:
    """The document as one of a run; what it holds is not checked again."""
    result = kind.model_construct(**{name: getattr(document, name) for name in type(document).model_fields})
    result._kept = kept
    return result


def of_study(kind: type[S], document: Document, kept: Kept, evaluation: Evaluation) -> S:
    """The same of a document about settings or measurements, with the evaluation of these."""
    result = of_run(kind, document, kept)
    result._evaluation = evaluation
    return result
