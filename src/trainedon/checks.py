"""What can be refused before a picture is read or a model is loaded; imports nothing that takes long to import."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainedon import run_files
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.formats.run_record import RunIdentity

# Words in names of folders that say what is in them.
UNSEEN = (
    *("unseen", "holdout", "heldout", "test", "tests", "val", "valid", "validation", "eval", "nonmember"),
    *("nonmembers", "notmember", "notmembers", "unused", "control", "controls"),
)
SEEN = ("train", "training", "trained", "member", "members", "suspect", "suspects", "seen", "included", "mine")

WRONG_WAY_ROUND = (
    "Unseen pictures score higher than the others, beyond chance: the two folders may have been given the wrong way "
    "round."
)


def check_places(kind: str, sets: Mapping[str, str | Path], out: str) -> None:
    """Whether the sources of a run are there, and `out` can take it. URLs are not looked at.

    Raises UserError.
    """
    local = check_sources(sets.values())
    if _is_url(out):
        if out.lower().startswith("memory:"):
            raise UserError(f"--out {out} lasts no longer than this command: give a folder or another store")
        return
    folder = Path(out)
    refuse_strangers(folder)
    earlier = _earlier(folder)
    if earlier and earlier.kind not in (None, kind):
        raise UserError(
            f"{out} holds a run with other choices (kind was {earlier.kind!r}, is {kind!r}): "
            "repeat them, or choose another --out"
        )
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{out} cannot be written (no permission in {there}): choose another --out")
    for source in local:
        _apart(source, folder)


def check_sources(sources: Iterable[str | Path]) -> list[Path]:
    """Those that lie on this disk. Raises UserError when one is not there."""
    local = [Path(source) for source in sources if not _is_url(source)]
    for source in local:
        if not source.exists():
            raise UserError(f"{source} does not exist; check the spelling")
    return local


def refuse_strangers(out: Path) -> None:
    """Raises UserError for a place that is no folder, and for a folder of other things than a run; writes nothing."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, and a run is written to a folder: choose another --out")
    if not out.is_dir():
        return
    check_lock(out)
    if (out / run_files.RUN).exists():
        check_links(out)
        return
    strangers = sorted(path.name for path in out.iterdir() if not _is_our_lock(path) and path.name != ".run.json.tmp")
    if strangers:
        raise UserError(f"{out} is not empty and is no run folder (it holds {strangers[0]}): choose another --out")


def check_lock(out: Path) -> None:
    """Raises UserError where a file of somebody else's has the lock's name: taking the lock might empty it."""
    lock = out / run_files.LOCK
    if os.path.lexists(lock) and not _is_our_lock(lock):
        raise UserError(f"{lock} is not an empty file, and so no lock of this program: choose another --out")


def _is_our_lock(path: Path) -> bool:
    status = path.lstat()
    return path.name == run_files.LOCK and stat.S_ISREG(status.st_mode) and status.st_size == 0


def check_links(out: Path) -> None:
    """Raises UserError where a folder in a run folder is a link: what is written there would land elsewhere."""
    for pattern in (run_files.SHARDS, run_files.RESTORED, "shards/*", "restored/*"):
        for path in out.glob(pattern):
            if path.is_symlink():
                raise UserError(f"{path} is a link, and a run folder holds none: take it away, or choose another --out")


def device_of(out: str) -> str | None:
    """The type of device on which the run in a local folder was begun, if there is one."""
    earlier = None if _is_url(out) else _earlier(Path(out))
    return earlier.device if earlier else None


def precision_of(out: str) -> str | None:
    """The precision in which the run in a local folder was begun, if there is one that asked a model."""
    earlier = None if _is_url(out) else _earlier(Path(out))
    return earlier.precision if earlier and earlier.device else None


def swapped(sets: Mapping[str, str | Path]) -> str | None:
    """A sentence where the names of the folders say the opposite of what they were given as."""
    called = {name: Path(shown.partition("?")[0]) for name, shown in ((name, str(s)) for name, s in sets.items())}
    if len({path.name for path in called.values()}) < len(called):  # train/faces and test/faces
        called = {name: path.parent for name, path in called.items()}
    said = []
    for name, path in called.items():
        odd = SEEN if name == "unseen" else UNSEEN
        if word := next((word for word in _words(path.name) if word in odd), None):
            said.append(f"the {'unseen pictures' if name == 'unseen' else f'{name}s'} are called {word!r}")
    return f"{' and '.join(said)}: were the folders given the wrong way round?" if said else None


def says_opposite(flags: Iterable[Any]) -> bool:
    """Whether scores run against the direction that training would give them, by the flags of a document."""
    return any(flag.code == "attack-below-chance" for flag in flags)


def _words(name: str) -> list[str]:
    """`held-out` and `non-members` are one word."""
    return re.findall("[a-z]+", re.sub(r"(held|hold|non|not|un)[-_ ]+(?=[a-z])", r"\1", name.lower()))


def _apart(source: Path, out: Path) -> None:
    """Raises UserError where pictures that a run writes would be taken for those that it asks about."""
    source, out = source.resolve(), out.resolve()
    if out.is_relative_to(source) and not any(part.startswith(".") for part in out.relative_to(source).parts):
        raise UserError(f"--out {out} lies in {source}, where its pictures would be found: choose another --out")
    if source.is_relative_to(out):
        raise UserError(f"{source} lies in --out {out}, to which the run is written: choose another --out")


def _earlier(out: Path) -> RunIdentity | None:
    """The identity of the run in a folder; None where there is none that can be read."""
    if not (out / run_files.RUN).is_file():
        return None
    from trainedon.formats import read_record  # pydantic takes time, and mostly there is no run yet

    try:
        return read_record(out).identity
    except UserError:  # of which more is said when the run is opened
        return None


def _is_url(source: str | Path) -> bool:
    return "://" in str(source) or "::" in str(source)
