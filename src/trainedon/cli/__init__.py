"""The command line: it parses, calls the functions of `trainedon.api`, and prints."""

import os

# Threads that wait by spinning slow each other down on machines whose cores are shared; must be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Arrow's own allocator keeps what short-lived buffers took; must be set before Arrow loads.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from trainedon.cli.app import app, main

__all__ = ["app", "main"]
