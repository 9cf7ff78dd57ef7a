"""Errors that nobody foresaw: one line for the person, and a file with all that a report of it needs."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainedon import run_files
from trainedon.errors import PartError, PictureError, UserError
from trainedon.files import write_text
from trainedon.redact import redacted, redacted_argument
from trainedon.spec import offered_by

LOG = "error.log"
# What a system says of a disk that is full, forbidden, broken or asked for a name that it cannot have.
_MACHINE = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.EMFILE}
_MACHINE |= {errno.ENFILE, errno.ELOOP, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
PACKAGES = ("trainedon", "torch", "diffusers", "transformers", "peft", "pillow", "numpy", "pyarrow")


class Unforeseen(Exception):
    """An error that was written down already; the message says where."""


@contextmanager
def logged_in(run: Path) -> Iterator[None]:
    """An error inside the block that is none of the person's is written to the run folder, and raised as Unforeseen."""
    try:
        yield
    except (UserError, PictureError, BrokenPipeError):
        raise
    except Exception as error:
        if of_the_machine(error) is not None:
            raise
        raise Unforeseen(kept(error, run)) from error


def of_the_machine(error: Exception) -> str | None:
    """What to do about an error that neither the input nor this program is to blame for; None for others."""
    if isinstance(error, MemoryError):
        return "memory ran out: give less at once (--batch-size, a smaller --size), or take a larger machine"
    if isinstance(error, OSError) and error.errno in _MACHINE:
        place = "the disk" if error.filename is None else os.fsdecode(error.filename)[:200]
        return f"{place}: {(error.strerror or 'it cannot be used').lower()}: mend that, or choose another place"
    return None


def kept(error: Exception, run: Path | None = None) -> str:
    """Write down what happened, without passwords and the name of the home folder, and say it in one line.

    run: the folder of the run that failed, to which it is written when there is a run in it; elsewhere a temporary
    file takes it.
    """
    what = redacted(" ".join(traceback.format_exception_only(error)[-1].split()))[:300]
    other = _other_package(error)
    path = _written(_text(error, other), run)
    where = f"the details are in {path}" if path else "the details could not be written anywhere"
    whose, to = (f"the package {other}", " to its authors") if other else ("trainedon itself", "")
    return f"a fault of {whose}, not of your input ({what}); {where}: please report it{to}, with that file"


def _other_package(error: BaseException) -> str | None:
    """The package whose code, with parts that it offers, was the last to run before libraries; None where ours was."""
    if isinstance(error, PartError):
        return offered_by(error.module)
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == "trainedon":
            return None
        if package := offered_by(module):
            return package
    return None


def _written(text: str, run: Path | None) -> Path | None:
    """The file that took the text. None where no place could."""
    try:
        if run is not None and (run / run_files.RUN).is_file():
            write_text(run / LOG, text)
            return run / LOG
    except OSError:
        pass  # the disk may be full, which may be what happened
    try:
        number, name = tempfile.mkstemp(prefix="trainedon-error-", suffix=".log")
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
        return Path(name)
    except OSError:
        return None


def _text(error: Exception, other: str | None) -> str:
    lines = [
        datetime.now(UTC).isoformat(timespec="seconds"),
        " ".join(["trainedon", *map(redacted_argument, sys.argv[1:])]),
        f"Python {platform.python_version()} on {platform.platform()}, {sys.byteorder}-endian",
        ", ".join(f"{name} {_version(name)}" for name in (*PACKAGES, *filter(None, [other]))),
        "",
        redacted("".join(traceback.format_exception(error))),
    ]
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"
