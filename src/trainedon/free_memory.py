"""What a program may take of this machine, or of its container: main memory, and cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")  # of Linux
STATM = Path("/proc/self/statm")  # pages of addresses that this process has, first
CGROUP = Path("/sys/fs/cgroup")  # where containers find the limit that they were given


def free_of_system(meminfo: Path | None = None, cgroup: Path | None = None) -> int | None:
    """Bytes of main memory that this process can still get, of a container, or with a limit of its own (`ulimit -v`),
    those below it; None where the system does not say."""
    said = (_available(meminfo or MEMINFO), _below_limit(cgroup or CGROUP), _below_own_limit())
    return min((free for free in said if free is not None), default=None)


def _available(meminfo: Path) -> int | None:
    try:
        with meminfo.open() as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def memory_in_all(cgroup: Path | None = None) -> int | None:
    """Bytes of main memory that the machine has, a container below its limit; None where the system does not say."""
    known = [limit for limit, _ in _limits(cgroup or CGROUP)]
    with suppress(AttributeError, ValueError, OSError):
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(known, default=None)


def cores(cgroup: Path | None = None) -> int:
    """How many cores this process may keep busy, 1 or more; in a container as far as its share of time reaches."""
    there = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota, _, period = _told((cgroup or CGROUP) / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        there = min(there, round(int(quota) / int(period)))
    return max(1, there)


def _below_limit(cgroup: Path) -> int | None:
    """What a container may still take. Cached files, which the system gives back, are not counted as taken, be they
    used once or (those of a model that was loaded before) more often."""
    for limit, (usage, stat, prefix) in _limits(cgroup):
        cached = {f"{prefix}inactive_file", f"{prefix}active_file"}
        try:
            told = (line.split() for line in stat.read_text().splitlines())
            given_back = sum(int(number) for name, number in told if name in cached)
            return max(0, limit - int(usage.read_text()) + given_back)
        except (OSError, ValueError):
            continue
    return None


def _below_own_limit() -> int | None:
    """What this process may still take of addresses, where it was given a limit of these."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        taken = int(STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):  # Windows has no limits, and others than Linux do not say what is taken
        return None
    return max(0, limit - taken)


def _limits(cgroup: Path) -> Iterator[tuple[int, tuple[Path, Path, str]]]:
    """The limit of a container's memory, of version 2 of control groups, or of version 1, where there is one; and where
    it stands what is taken: in all, in detail, and what names in the detail begin with."""
    first = cgroup / "memory"
    versions = (
        (cgroup / "memory.max", (cgroup / "memory.current", cgroup / "memory.stat", "")),
        (first / "memory.limit_in_bytes", (first / "memory.usage_in_bytes", first / "memory.stat", "total_")),
    )
    for limit, taken in versions:
        if (told := _told(limit)).isdigit():  # else there is none, or it says `max`
            yield int(told), taken


def _told(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
