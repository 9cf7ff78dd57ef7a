"""A table of scores alone becomes a run folder with statistics and a page."""

import json

import numpy as np
import pytest

from trainedon.errors import UserError
from trainedon.runs import conclude, conclude_table, verify

SETS = {"audit": "suspect", "evaluate": "member"}


@pytest.fixture
def table(tmp_path):
    def write(*sets, n=30):
        rng = np.random.default_rng(0)
        lines = ["picture,set,score"] + [f"{s}-{i},{s},{rng.normal(s != 'unseen')}" for s in sets for i in range(n)]
        path = tmp_path / "scores.csv"
        path.write_text("\n".join([*lines, f"odd,{sets[0]},nan"]) + "\n")
        return path

    return write


@pytest.mark.parametrize("kind", SETS)
def test_a_table_gives_statistics_and_a_page_that_verify(kind, table, tmp_path):
    out = tmp_path / "run"
    document = conclude_table(table(SETS[kind], "unseen"), out)
    assert document.attacks[0].n_not_scored == 1
    record = json.loads((out / "run.json").read_text())
    assert (record["kind"], record["status"]) == (kind, "complete")
    assert "No model was asked here" in (out / "report.html").read_text()
    assert not [check for check in verify(out) if check.ok is False]
    assert conclude(out) == document
    assert conclude_table(tmp_path / "scores.csv", out) == document, "the same table again is the same run"


def test_other_tables_are_refused(table, tmp_path):
    with pytest.raises(UserError, match="both suspects and members"):
        conclude_table(table("suspect", "member", "unseen"), tmp_path / "a")
    with pytest.raises(UserError, match="neither"):
        conclude_table(table("unseen"), tmp_path / "b")
    conclude_table(table("suspect", "unseen"), tmp_path / "c")
    with pytest.raises(UserError, match="holds a run with other choices"):
        conclude_table(table("suspect", "unseen", n=20), tmp_path / "c")
