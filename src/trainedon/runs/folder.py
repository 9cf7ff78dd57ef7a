"""The run folder: one audit, every file written whole, resumed by the same command."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainedon import run_files
from trainedon.checks import check_lock, refuse_strangers
from trainedon.errors import UserError
from trainedon.evidence import CURRENT, Rules, rules_of
from trainedon.formats import RunRecord, read_record
from trainedon.formats.run_record import READABLE, SCHEMA_VERSION, RunIdentity
from trainedon.runs.added_attacks import Controls, as_asked, grown, unfinished
from trainedon.runs.spelling import named_before
from trainedon.targets.core.identity import Identity

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota of that name


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """The folder for this process alone.

    Raises UserError when another one works in it, a file of somebody else's has the lock's name, it cannot be written,
    or the disk is full before the block ends.
    """
    check_lock(out)
    lock = FileLock(out / run_files.LOCK, timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(f"another process is working on {out}: wait for it, or choose another --out") from None
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}): choose another --out") from None
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(f"{out} has no room left ({error.strerror}): make some; the same command goes on") from None
    finally:
        lock.release()


def version_of(out: Path) -> int:
    """The schema version of the run that `out` holds, or is going to hold."""
    refuse_strangers(out)
    return (read_record(out).schema_version or 1) if (out / run_files.RUN).exists() else SCHEMA_VERSION


def protocol_of(out: Path) -> Rules:
    """The protocol of the run that `out` holds, or is going to hold. Raises UserError for an unknown one."""
    return rules_of(read_record(out).identity.protocol) if (out / run_files.RUN).exists() else CURRENT


def check_begun(out: Path, known: RunIdentity) -> None:
    """Raises UserError when `out` holds a run that differs in what is known of this one already, or another process
    works in it."""
    refuse_strangers(out)
    if (out / run_files.LOCK).exists():
        with locked(out):
            pass
    if (out / run_files.RUN).exists():
        record = as_asked(out, read_record(out), known)
        earlier, now = record.identity.told(), grown(out, record, known).told()
        _refuse_other(out, record, {key: earlier.get(key) for key in now}, now)


def check_known_again(out: Path, model: Identity) -> None:
    """Raises UserError when `out` holds a run, and the model's weights were not hashed, so that nothing tells whether
    it is the one of that run."""
    refuse_strangers(out)
    if model.own_code is not None and not model.own_code.hashed and (out / run_files.RUN).exists():
        raise UserError(
            f"{out} holds a run, and the weights of {model.name} are not known, so that nothing tells whether they are "
            "the same: give weights= to Target.of, or choose another --out"
        )


def check_same(out: Path, identity: RunIdentity, controls: Controls | None = None) -> RunRecord | None:
    """The record of an earlier run in `out` when it is the same one, or the same with fewer attacks; None when the
    folder is new. Where attacks are being added to the same one it is the record of before, as it was complete.

    controls: those of `identity`, which attacks that are added must not change. Raises UserError that says which
    choices differ, or that the folder holds something else.
    """
    refuse_strangers(out)
    if not (out / run_files.RUN).exists():
        return None
    earlier = read_record(out)
    if earlier.schema_version not in READABLE:
        raise UserError(f"{out} was written by another version of trainedon: choose another --out")
    earlier = as_asked(out, earlier, identity)
    _refuse_other(out, earlier, earlier.identity.told(), grown(out, earlier, identity, controls).told())
    return earlier


def _refuse_other(out: Path, record: RunRecord, earlier: dict[str, object], identity: dict[str, object]) -> None:
    before, now = _flat(earlier), _flat(identity)
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing:
        said = "; ".join(_changed(key, before.get(key), now.get(key)) for key in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        ways = "repeat them, or choose another --out"
        if record.added and not record.is_complete:
            ways = unfinished(out, record)
        raise UserError(f"{out} holds a run with other choices ({said}{more}): {ways}")


def _changed(key: str, before: object, now: object) -> str:
    if key.startswith("pictures.") and before and now:  # digests say nothing to a person
        return f"the pictures of the set {key.partition('.')[2]} are others, or have other names, labels or captions"
    hint = ""
    if key == "attacks":
        hint = named_before(before, now)
        if isinstance(before, list) and isinstance(now, list) and {*before} < {*now}:
            hint += "; new attacks stand after those that are there"
    return f"{key} was {before!r}, is {now!r}{hint}"


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}.{key}" if prefix else key).items()}
