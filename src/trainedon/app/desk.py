"""What lies on the desk: the pictures that were dropped, the run that is made of them, and the folder of both."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainedon import run_files
from trainedon.app.dropped import Dropped
from trainedon.app.job import Job
from trainedon.app.models import Models
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.api.results import AuditRun
    from trainedon.attacks import Progress
    from trainedon.formats.exhibit_json import ExhibitRecord
    from trainedon.planning.forecast import Estimate

SetName = Literal["suspects", "unseen"]
MOST_BYTES = 4 * 2**30  # of all pictures
# Files of a run that are offered one by one, and below which address.
FILES = (run_files.PAGE, run_files.SCORES_SHEET, run_files.SCORES, run_files.PICTURES, run_files.AUDIT, run_files.RUN)
BESIDE = "/run/"


@dataclass(frozen=True)
class AuditQuestion:
    """What is asked. model: as it was chosen or typed. against: what the pictures are compared with."""

    model: str
    against: Literal["unseen", "mirror"]


@dataclass(frozen=True)
class Forecast:
    """What is said before a run. suspects, unseen: how many pictures there are; unseen is 0 beside mirror images."""

    suspects: int
    unseen: int
    estimate: Estimate


@dataclass(frozen=True)
class Look:
    """What a model makes of one picture. pictures: name -> PNG file, as a run's evidence has them. side: the longer
    one, in pixels."""

    record: ExhibitRecord
    pictures: dict[str, bytes]
    side: int


class Desk:
    """folder: new or empty, for nobody else to read. One person works at it: there is one run at a time."""

    def __init__(self, folder: Path, models: Models) -> None:
        self.folder, self.models, self.job = folder, models, Job()
        self.uploads = folder / "uploads"
        self.uploads.mkdir(mode=0o700)
        self.suspects, self.unseen = Dropped(folder / "suspects"), Dropped(folder / "unseen")
        self._runs = folder / "runs"
        self._runs.mkdir(mode=0o700)
        self._question: AuditQuestion | None = None  # of the run that is there
        self._result: AuditRun | None = None
        self.count = 0  # of runs so far
        self._turn = threading.RLock()

    def add(self, which: SetName, files: Sequence[Path]) -> list[str]:
        """Take what was dropped; a sentence for each file that was refused. Raises UserError while a run is at work,
        and for files that lie elsewhere than what was dropped."""
        with self._turn:
            self.job.check_idle()
            self._check_dropped(files)
            refused = self._set(which).take(files)
            self._question = None  # a run of other pictures is another run
            return refused

    def forecast(self, question: AuditQuestion) -> Forecast:
        """How long would it take, and what could be claimed? Raises UserError as `trainedon.plan`, and where pictures
        are missing."""
        from trainedon import api

        with self._turn:
            self.job.check_idle()
            n, unseen = self._counts(question)
            estimate = api.plan(
                self.models.opened(question.model), n + unseen, suspects=n, pictures=self.suspects.folder
            )
            return Forecast(n, unseen, estimate)

    def start(self, question: AuditQuestion) -> None:
        """Begin a run, and remove the one that was there."""
        with self._turn:
            self.job.check_idle()
            self.models.check(question.model)
            self._counts(question)
            self._remove_runs()
            self.count += 1
            self._question = question
            self.job.start(lambda progress: self._audit(question, progress))

    @property
    def can_go_on(self) -> bool:
        """Whether there is a run that was stopped or failed, of the pictures that are there."""
        return self._question is not None and self.job.now.state in ("stopped", "failed")

    def go_on(self) -> None:
        """With the run that was stopped. Raises UserError where there is none."""
        with self._turn:
            question = self._question
            if question is None or not self.can_go_on:
                raise UserError("there is no run to go on with: start one")
            self.job.start(lambda progress: self._audit(question, progress))

    def look(self, model: str, file: Path) -> Look:
        """What the model makes of one picture: an audit of it alone, which is removed again. Raises UserError as
        `trainedon.audit`, and for a file that is no picture."""
        from trainedon import api

        with self._turn:
            self.job.check_idle()
            self._check_dropped([file])
            target, place = self.models.opened(model), self.folder / "look"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o700)
            try:
                one = Dropped(place / "picture", most=1)
                refused = one.take([file])
                if refused or not len(one):
                    raise UserError(refused[0] if refused else "it is no picture")
                api.audit(target, one.folder, out=place / "run", controls=False, _command="trainedon app: one picture")
                return _look(place / "run", max(target.picture[1:]))
            finally:
                shutil.rmtree(place, ignore_errors=True)

    def reset(self) -> None:
        """Remove all pictures and runs. Raises UserError while a run is at work."""
        with self._turn:
            self.job.check_idle()
            self.job.forget()
            self._remove_runs()
            self.suspects.clear()
            self.unseen.clear()
            shutil.rmtree(self.uploads)
            self.uploads.mkdir(mode=0o700)

    def close(self) -> None:
        """Stop what is at work, and remove the folder."""
        self.job.stop(seconds=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def result(self) -> AuditRun | None:
        """The audit, once it is done."""
        return self._result if self.job.now.state == "done" else None

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self._runs / f"run-{self.count}"

    def zipped(self) -> Path:
        """The run as a zip file, without what is only there while it works. Raises UserError where none is done."""
        if self.result is None:
            raise UserError("there is no run that is done: start one")
        path = self._runs / f"run-{self.count}.zip"
        with self._turn:
            if not path.exists():
                _zip(self.run, path)
        return path

    def bytes(self) -> int:
        """How much lies on the desk, in all."""
        sizes = (os.lstat(Path(root, name)).st_size for root, _, names in os.walk(self.folder) for name in names)
        return sum(sizes)

    def _audit(self, question: AuditQuestion, progress: Progress) -> None:
        from trainedon import api

        progress("opening the model", 0, 1)
        self._result = api.audit(
            self.models.opened(question.model),
            self.suspects.folder,
            unseen=self.unseen.folder if question.against == "unseen" else None,
            out=self.run,
            progress=progress,
            _command=f"trainedon app, which does as: {_by_hand(question)}",
        )

    def _counts(self, question: AuditQuestion) -> tuple[int, int]:
        if not len(self.suspects):
            raise UserError("drop the pictures in question first")
        if question.against == "unseen" and not len(self.unseen):
            raise UserError("drop pictures that the model cannot have seen, or choose that you have none")
        return len(self.suspects), len(self.unseen) if question.against == "unseen" else 0

    def _set(self, which: SetName) -> Dropped:
        return {"suspects": self.suspects, "unseen": self.unseen}[which]

    def _check_dropped(self, files: Sequence[Path]) -> None:
        """What the browser names is taken for a path only where it lies among what was uploaded."""
        for file in files:
            if not file.parent.resolve().is_relative_to(self.uploads.resolve()):
                raise UserError(f"{file.name} was not dropped here")

    def _remove_runs(self) -> None:
        self._question = self._result = None
        shutil.rmtree(self._runs)
        self._runs.mkdir(mode=0o700)


def _by_hand(question: AuditQuestion) -> str:
    """What does the same in a terminal, for somebody who has the pictures."""
    unseen = " --unseen UNSEEN" if question.against == "unseen" else ""
    return f"trainedon audit {shlex.quote(question.model)} PICTURES{unseen} --out RUN"


def _look(run: Path, side: int) -> Look:
    """What the run of one picture shows. Raises UserError where it shows nothing."""
    from trainedon.formats.exhibit_json import read_exhibit

    found = sorted((run / run_files.RESTORED).glob(f"*/{run_files.EXHIBIT}"))
    if not found:
        raise UserError("the model answered nothing that can be shown of this picture")
    pictures = {path.stem: path.read_bytes() for path in sorted(found[0].parent.glob("*.png"))}
    return Look(read_exhibit(found[0]), pictures, side)


def _zip(run: Path, path: Path) -> None:
    """Write the files of a run folder, whole or not at all."""
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as made:
        for file in sorted(run.rglob("*")):
            if file.is_file() and not file.is_symlink() and file.name != run_files.LOCK:
                made.write(file, Path("trainedon-run", file.relative_to(run)))
    part.replace(path)
