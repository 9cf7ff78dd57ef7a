"""What is measured about the package itself; each module is a command, `python -m benchmarks.NAME`."""

import os

os.environ.setdefault("TRAINEDON_STATE", "off")  # what is measured here is in no user's record of runs
