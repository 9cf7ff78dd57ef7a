"""Errors in code that a user brings along, told as hers: which file, which line, what."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainedon.errors import UserError
from trainedon.targets.core.asking import ran_out

PACKAGE = Path(__file__).parents[2]


def fault_of(error: BaseException) -> str:
    """`net.py, line 12, in forward: ValueError: ...`: the innermost line that is neither ours nor a library's."""
    lines = traceback.format_exception_only(error)
    what = " ".join(lines[-1].split())[:300]
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}, line {error.lineno}: {what}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_hers(frame.filename)]
    if not frames:
        return what
    last = frames[-1]
    return f"{Path(last.filename).name}, line {last.lineno}, in {last.name}: {what}"


def _is_hers(file: str) -> bool:
    path = Path(file)
    libraries = ("site-packages", "dist-packages", "importlib", "<")
    if path.is_relative_to(PACKAGE) or any(part.startswith(libraries) for part in path.parts):
        return False
    return not file.startswith(str(Path(traceback.__file__).parent))


@contextmanager
def hers(what: str, remedy: str = "") -> Iterator[None]:
    """Inside the block code of the user runs. Raises UserError, which begins with `what` and names her line, for
    whatever goes wrong there; that memory ran out is passed on, since fewer rows may do."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{what} ({error})") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, Exception) and ran_out(error):
            raise
        raise UserError(f"{what} ({fault_of(error)}){remedy}") from error
