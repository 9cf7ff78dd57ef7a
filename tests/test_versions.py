"""What pyproject.toml promises of versions is what is tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNTRIED = {"torch"}  # see constraints-lowest.txt


def pinned(name: str) -> dict[str, tuple[int, ...]]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return {package: number(version) for package, version in (line.split("==") for line in lines)}


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, [*version.split("."), "0", "0"][:3]))


def test_the_lower_ends_are_those_that_are_tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["heif"], *extras["jxl"]]
    ends = {name: number(least) for name, least in (re.findall(r"^([\w-]+)>=([\d.]+)", one)[0] for one in asked)}
    lowest = pinned("constraints-lowest.txt")
    assert {name: end for name, end in ends.items() if name not in UNTRIED} == {
        name: version for name, version in lowest.items() if name not in UNTRIED
    }
    newest = pinned("constraints.txt")
    assert all(newest[name] >= end for name, end in ends.items())
