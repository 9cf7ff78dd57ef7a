"""The examples of a page, run as a reader would run them: block after block, in one folder, with a model and pictures.

The folder holds what pages call by name: `model` (the embedded one), `suspects` (10 pictures that it was trained on and
10 that it was not, under names that tell nothing; also where the demo puts them), `members` (10) and `unseen` (100).
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from types import ModuleType

from trainedon.embedded import demo

FENCE = "```python"
MEMBERS = 10


def blocks(page: Path) -> list[tuple[int, str]]:
    """(line of the fence, code) of each block that begins with ```python alone in its line; others are not examples."""
    found: list[tuple[int, str]] = []
    lines, inside = page.read_text("utf-8").splitlines(), False
    for number, line in enumerate(lines, 1):
        if not inside and line == FENCE:
            found.append((number, ""))
            inside = True
        elif inside and line == "```":
            inside = False
        elif inside:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def scene(folder: Path) -> None:
    """Put model and pictures into a folder."""
    (folder / "model").symlink_to(demo.model_folder(), target_is_directory=True)
    truth = demo.prepare(folder)
    (folder / "trainedon-demo" / "pictures-0").mkdir(parents=True)
    (folder / "trainedon-demo" / "pictures-0" / "suspects").symlink_to(folder / "suspects", target_is_directory=True)
    (folder / "members").mkdir()
    for name in [name for name, member in truth.items() if member][:MEMBERS]:
        (folder / "members" / name).write_bytes((folder / "suspects" / name).read_bytes())
    (folder / "truth.json").write_text(json.dumps(truth))


def run_page(page: Path, folder: Path) -> str:
    """What the blocks of a page print, executed in `folder` as one program; an error names the page and its line."""
    module = ModuleType(f"example_{page.stem}")
    sys.modules[module.__name__] = module  # where a dataclass of the page looks for the types of its fields
    printed = io.StringIO()
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            for line, code in blocks(page):
                exec(compile("\n" * line + code, str(page), "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]
    return printed.getvalue()
