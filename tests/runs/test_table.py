"""A table of scores alone becomes a run folder with statistics and a page."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from trainedon.cli import app
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
    with pytest.raises(UserError, match="no picture in set 'unseen'"):
        conclude_table(table("member"), tmp_path / "d")
    assert not (tmp_path / "d").exists()
    conclude_table(table("suspect", "unseen"), tmp_path / "c")
    with pytest.raises(UserError, match="holds a run with other choices"):
        conclude_table(table("suspect", "unseen", n=20), tmp_path / "c")


def many(kind, attacks, nfe):
    """Rows of a table: several attacks or none named, with the number of passes or without, in an order of its own."""
    rng = np.random.default_rng(1)
    for name in (SETS[kind], "unseen"):
        for i in range(12):
            for attack in attacks:
                row = {"picture": f"{i}.png", "set": name, "score": rng.normal(name != "unseen")}
                yield row | ({"attack": attack} if attack else {}) | ({"nfe": 12} if nfe else {})


@pytest.mark.parametrize(("attacks", "suffix"), [([None], "parquet"), (["drc", "loss"], "csv")], ids=["one", "two"])
@pytest.mark.parametrize("kind", SETS)
def test_every_kind_of_table_works_by_command_line_and_again_on_the_run(kind, attacks, suffix, tmp_path):
    table = pa.Table.from_pylist(list(many(kind, attacks, nfe=suffix == "csv")))
    path, out = tmp_path / f"s.{suffix}", tmp_path / "run"
    if suffix == "csv":
        names = table.column_names
        path.write_text("\n".join(map(",".join, [names, *([str(r[n]) for n in names] for r in table.to_pylist())])))
    else:
        pq.write_table(table, path)
    said = []
    for command in (["report", path, "--out", out], ["report", out], ["verify", out], ["report", path, "--out", out]):
        done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        said.append(done.output)
    assert said[0].replace(" ", "") == said[1].replace(" ", "") and "FAILED" not in said[2]
    assert all((attack or "unnamed") in said[0] or kind == "audit" for attack in attacks)
    assert (out / "report.html").is_file()


def test_a_run_is_no_table(table, tmp_path):
    conclude_table(table("suspect", "unseen"), tmp_path / "run")
    done = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "other")])
    assert isinstance(done.exception, UserError) and "leave out --out" in str(done.exception)
    assert not (tmp_path / "other").exists()
