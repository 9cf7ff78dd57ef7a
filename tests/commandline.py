"""The command line as a user calls it, but in this process: what it prints, and how it ends."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock


def call(*arguments: object) -> subprocess.CompletedProcess:
    """`trainedon ARGUMENTS`, with what it wrote to standard output and error, which are no terminal."""
    from trainedon.cli import main

    words = list(map(str, arguments))
    out, err = io.StringIO(), io.StringIO()
    with (
        warnings.catch_warnings(),
        mock.patch.object(sys, "argv", ["trainedon", *words]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
