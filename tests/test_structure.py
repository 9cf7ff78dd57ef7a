"""How the package is put together, drawn from its imports: arrows between rooms point one way."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import trainedon

SOURCE = Path(trainedon.__file__).parent
FILES = {path: ("trainedon", *path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*.py")}
MODULES = {".".join(parts).removesuffix(".__init__"): path for path, parts in FILES.items()}


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, wherever in the file, but for types alone."""
    todo: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        todo += ast.iter_child_nodes(node)


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that it imports from. A room is a folder; a file beside the folders is one of its own."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        here = room(path)
        there = {room(MODULES[name]) for name in imported(path) if name in MODULES}
        found.setdefault(here, set()).update(there - {here})
    return found


def room(path: Path) -> str:
    folder = path.parent.relative_to(SOURCE).as_posix()
    if folder == ".":
        return path.name
    # what a package offers is gathered from the rooms below it, so its front is a room apart from its files
    return f"{folder}/__init__" if path.name == "__init__.py" else folder


def test_rooms_import_one_another_in_one_direction():
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_two_files_have_one_name():
    names = Counter(path.name for path in FILES if path.name != "__init__.py")
    assert not [name for name, times in names.items() if times > 1]


def test_no_two_classes_have_one_name():
    bodies = (ast.parse(path.read_text("utf-8")).body for path in FILES)
    names = Counter(node.name for body in bodies for node in body if isinstance(node, ast.ClassDef))
    assert not [name for name, times in names.items() if times > 1 and not name.startswith("_")]
