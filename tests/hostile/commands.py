"""What is wrong with a command line by itself, whatever it is about."""

from __future__ import annotations

from pathlib import Path

from hostile.cases import hostile


@hostile("does not exist")
def a_model_that_is_not_there(place: Path) -> list[str]:
    (place / "pictures").mkdir()
    return ["audit", "nowhere/", "pictures", "--out", "run"]
