"""The files of evidence/table are read in one direction."""

import re
from pathlib import Path

from trainedon.evidence import table

FOLDER = Path(table.__file__).parent


def test_each_file_imports_only_from_those_before_it():
    order = re.findall(r"`(\w+)`", table.__doc__)
    assert sorted(order) == sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    for place, name in enumerate(order):
        imports = re.findall(r"from trainedon\.evidence\.(\S+) import", (FOLDER / f"{name}.py").read_text())
        assert {*imports} <= {f"table.{earlier}" for earlier in order[:place]}, name
