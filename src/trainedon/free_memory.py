"""How much main memory a program can still get, of the system or of its container."""

from __future__ import annotations

from pathlib import Path

MEMINFO = Path("/proc/meminfo")  # of Linux
CGROUP = Path("/sys/fs/cgroup")  # where containers find the limit that they were given


def free_of_system(meminfo: Path | None = None, cgroup: Path | None = None) -> int | None:
    """Bytes of main memory that a program can still get, of a container those below its limit; None where the system
    does not say."""
    known = [free for free in (_available(meminfo or MEMINFO), _below_limit(cgroup or CGROUP)) if free is not None]
    return min(known, default=None)


def _available(meminfo: Path) -> int | None:
    try:
        with meminfo.open() as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _below_limit(cgroup: Path) -> int | None:
    """What a container may still take: of version 2 of control groups, or of version 1. Cached files, which the system
    gives back, are not counted as taken."""
    versions = (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for folder, limit, usage, cached in versions:
        try:
            most, taken = (int((folder / name).read_text()) for name in (limit, usage))
            told = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            given_back = next((int(number) for name, number in told if name == cached), 0)
        except (OSError, ValueError):  # there is none, or it says `max`
            continue
        return max(0, most - taken + given_back)
    return None
