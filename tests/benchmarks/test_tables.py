"""The benchmark of long tables measures what it says."""

import pytest

from benchmarks import tables


@pytest.mark.slow
def test_every_step_has_its_time_and_the_peak_so_far(capsys):
    tables.main(["500"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[2], line[4]) for line in lines] == [
        (step, "s", "MiB") for step in ("import", "read", "audit", "write")
    ]
    peaks = [int(line[3]) for line in lines]
    assert peaks == sorted(peaks) and peaks[0] > 50 and peaks[-1] < 2000
