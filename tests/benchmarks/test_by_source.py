"""Simulated works of one artist against those of others: what is drawn, counted and written."""

import json

import numpy as np
import pytest

from benchmarks import by_source as bench
from trainedon.evidence.statistics import by_source


@pytest.mark.parametrize("case", [*bench.CASES, *bench.LOOKED_AT])
def test_a_draw_has_the_sources_that_its_name_says(case):
    sizes = (bench.CASES | bench.LOOKED_AT)[case]
    works = bench.drawn(sizes, 0.1, 0.0, np.random.default_rng(0))
    both = by_source.shared(works.is_suspect, works.source)
    assert both.all() if "unseen of" in case else not both.any()
    in_question = np.unique(works.source[works.is_suspect])
    many = case.split()[-1] if case.endswith(("of 8", "of 20")) else "1" if both.all() else case.split()[0]
    assert len(in_question) == int(many)


def test_sources_share_as_much_of_the_variance_as_is_asked_for():
    sizes = bench.others(400, 20, 20, 20)
    for r in (0.0, 0.3):
        works = bench.drawn(sizes, r, 0.0, np.random.default_rng(0))
        assert by_source.intraclass(works.value[:, 0], works.source) == pytest.approx(r, abs=0.04)
    moved = bench.drawn(sizes, 0.0, 9.0, np.random.default_rng(0))
    assert moved.value[moved.is_suspect].min() > moved.value[~moved.is_suspect].max()


@pytest.mark.parametrize("test", ["by source", "blind"])
def test_what_lies_apart_is_found(test):
    made, cases, columns = bench.TESTS[test]
    with bench.fewer_deals():
        for sizes in cases.values():
            works = bench.drawn(sizes, 0.1, 9.0, np.random.default_rng(0), columns)
            assert made(works, 0) < 0.05
    assert by_source.DEALS == 99_999, "as before"


def test_cells_are_made_once_and_shares_out_of_bounds_are_marked(tmp_path, capsys):
    cells = [repr(cell) for cell in bench.cells()]
    known = {cell: {"draws": 1000, "0.05": 50, "0.01": 10} for cell in cells}
    first = repr(("by picture", "3 of 10, 40 of 10", 0.3, 0.0))
    known[first] = {"draws": 1000, "0.05": 200, "0.01": 100}
    del known[cells[-1]]
    out, page = tmp_path / "known.json", tmp_path / "page.md"
    out.write_text(json.dumps(known))
    page.write_text(f"{bench.BEGIN}\n{bench.END}\n")
    bench.main(["--out", str(out), "--page", str(page), "--replicates", "2"])
    assert json.loads(out.read_text()).keys() == {*cells} and json.loads(out.read_text())[cells[-1]]["draws"] == 2
    text = page.read_text()
    assert "| 3 of 10, 40 of 10 | 0.010 / 0.050 | 0.010 / 0.050 | 0.100 (!) / 0.200 (!) |" in text
    assert "| all of these | 0.010 / 0.050 | 0.010 / 0.050 | 0.023 (!) / 0.071 (!) |" in text
    assert text.count("(!)") == 4 and text.count("**") == 0
    capsys.readouterr()
