"""Python processes beside this one: fresh interpreters that find the modules that this one finds, and no others."""

from __future__ import annotations

import json
import sys

# How a program begins that needs modules besides those of Python itself.
MODULES = "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"


def command_of(program: str, *told: str) -> list[str]:
    """The command that runs a program; told: what it finds in `sys.argv[2:]`.

    -P: without it, modules would be looked for in the current folder first, which may be that of a stranger's pictures.
    """
    return [sys.executable, "-P", "-c", program, json.dumps([*map(str, sys.path)]), *told]
