"""A run folder of scores alone, with names of pictures and attacks that other programs could misread."""

import csv

import numpy as np
import pytest
from commandline import call


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("exports"), np.random.default_rng(0)
    with (folder / "given.csv").open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "set", "attack", "score"])
        for attack in ("my_attack 50%", "$x^2$"):
            for name, shift in (("member", 1), ("unseen", 0)):
                writer.writerows([f"={name}{i}", name, attack, rng.normal(shift)] for i in range(40))
    done = call("report", folder / "given.csv", "--out", folder / "run", "--csv", "--latex")
    assert done.returncode == 0 and "attacks.tex" in done.stdout, done.stderr
    return folder / "run"
