"""A run folder is computed again from its scores, and every kind of untruth in it is found."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commandline import call
from PIL import Image
from slowly import slowly

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.reporting import render
from trainedon.runs import Plan, conclude, run, verify
from trainedon.runs.checking.differences import differences
from trainedon.targets import load_target

STATISTICS = "the statistics follow from the scores"
PAGE = "the page shows what follows from the scores"
FILES = "files are as they were when the run ended"
SCORES = "scores belong to these pictures and attacks"
PICTURES = "pictures are those that the run records"
EXHIBITS = "evidence pictures carry the scores of the table"
RESTORED = "evidence pictures are as they were when the run ended"
RECORD = "the record agrees with itself"
CONTENTS = "the folder holds what a run writes"
SHEETS = "tables hold what follows from the scores"


@pytest.fixture(scope="module")
def finished(target_folders, toy_pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("verify") / "run"
    sets = {"suspect": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    plan = Plan(kind="audit", sets=sets, attacks=parse_attacks("drc-hide(steps=2, restorations=1), loss"), limit=20)
    run(load_target(target_folders["class-conditional"]), plan, out, lambda what, done, total: None)
    return out


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def failed(out):
    return {check.name for check in verify(out) if check.ok is False}


def rewrite(path, change):
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_an_honest_run_passes_every_check(finished):
    checks = verify(finished)
    assert [check.ok for check in checks] == [True] * 11, [check for check in checks if not check.ok]
    assert len({check.name for check in checks}) == 11


def test_what_an_earlier_version_did_not_say_is_no_contradiction_and_what_it_said_wrongly_is():
    now = {"verdict": {"auc": 0.7}, "control_models": [{"finds": False, "alike": 0.9}]}
    assert [*differences({"control_models": [{"finds": False}]}, now)] == []
    assert [*differences(now | {"verdict": {"auc": 0.5}}, now)] == ["verdict.auc is 0.5, the scores give 0.7"]
    assert [*differences({"verdict": {"auc": 0.7}, "control_models": [{"alike": 0.9}]}, now)] != []


def test_a_score_that_was_changed(copy):
    rewrite(copy / "scores.parquet", lambda rows: rows[0].update(score=rows[0]["score"] + 1))
    assert failed(copy) == {FILES, STATISTICS, EXHIBITS, SHEETS, PAGE}


@pytest.mark.parametrize("name", ["scores.csv", "most-exposed.csv"])
def test_a_table_that_was_changed(copy, name):
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace("unseen", "member", 1))
    assert failed(copy) == {SHEETS}
    (copy / name).unlink()
    assert failed(copy) == set(), "without it nothing is untrue"
    conclude(copy)
    assert (copy / name).read_text() == text


def test_scores_and_statistics_that_were_changed_together(copy):
    rewrite(copy / "scores.parquet", lambda rows: [row.update(score=9.0 + i) for i, row in enumerate(rows[:20])])
    conclude(copy)
    assert {FILES, EXHIBITS} == failed(copy)


def test_a_number_that_was_changed_in_the_statistics(copy):
    path = copy / "audit.json"
    document = json.loads(path.read_text())
    document["set"]["p_value"] /= 100
    path.write_text(json.dumps(document))
    assert failed(copy) == {STATISTICS}
    render(copy)
    assert failed(copy) == {STATISTICS, PAGE}, "a page of untrue statistics is no better than they are"
    (check,) = [check for check in verify(copy) if check.name == STATISTICS]
    assert "set.p_value is" in check.detail and "the scores give" in check.detail
    document["set"]["p_value"] = "small"
    path.write_text(json.dumps(document))
    assert "breaks its schema" in next(c.detail for c in verify(copy) if c.name == STATISTICS)


@pytest.mark.parametrize(
    ("old", "new", "ok"),
    [
        ("</h2>", " indeed</h2>", None),  # words alone
        (' data-column="', ' data-column="77', None),  # another order of columns
        ("data:image/png;base64,iVBO", "data:image/png;base64,iVBP", False),
        ("</h2>", " 4</h2>", False),
        ("</body>", "<script>alert()</script></body>", False),
        ("</body>", "<script src=x></script></body>", False),
        ("<main>", "<main onclick=alert()>", False),
        ('<meta http-equiv="Content-Security-Policy"', '<meta name="policy"', False),
        ("default-src 'none'; ", "default-src 'none'; script-src 'unsafe-inline'; ", False),
        ("default-src 'none'; ", "", False),
    ],
)
def test_of_a_page_of_another_version_numbers_pictures_and_claim_are_compared(copy, old, new, ok):
    record = json.loads((copy / "run.json").read_text())
    record["versions"]["trainedon"] = "0.0.1"
    (copy / "run.json").write_text(json.dumps(record))
    render(copy)
    page = (copy / "report.html").read_text()
    assert old in page
    (copy / "report.html").write_text(page.replace(old, new, 1))
    (check,) = [check for check in verify(copy) if check.name == PAGE]
    assert check.ok is ok, check.detail
    assert ok is False or ("version 0.0.1" in check.detail and "could not be checked" in check.detail)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["declared"].update({name: {"shown_as": "noised"} for name in record["declared"]}),
        *slowly(lambda record: record.pop("declared"), lambda record: record.update(schema_version=1)),
    ],
    ids=["others", "none", "of version 1"],
)
def test_what_attacks_declare_must_be_what_their_parameters_say(copy, change):
    record = json.loads((copy / "run.json").read_text())
    change(record)
    (copy / "run.json").write_text(json.dumps(record))
    conclude(copy)
    assert RECORD in failed(copy)


def test_a_claim_that_another_version_did_not_make_fails(copy):
    record = json.loads((copy / "run.json").read_text())
    record["versions"]["trainedon"] = "0.0.1"
    (copy / "run.json").write_text(json.dumps(record))
    render(copy)
    page = (copy / "report.html").read_text()
    claim = json.loads((copy / "audit.json").read_text())["claim"]["sentence"]
    assert claim in page
    untrue = page.replace(claim, "The pictures were used.")
    placed = '<section id="answer">'
    for hiding in ("", f"<!-- {claim} -->", f"<p hidden>{claim}</p>", f'<p class="answer" hidden>{claim}</p>'):
        (copy / "report.html").write_text(untrue.replace(placed, f"{placed}{hiding}"))
        (check,) = [check for check in verify(copy) if check.name == PAGE]
        assert check.ok is False and "is not the claim" in check.detail


def test_of_a_page_that_was_not_checked_the_command_says_so_at_the_end(copy):
    record = json.loads((copy / "run.json").read_text())
    assert call("verify", copy).stdout.splitlines()[-1] == "This run tells what follows from its scores."
    record["versions"]["trainedon"] = "0.0.1"
    (copy / "run.json").write_text(json.dumps(record))
    render(copy)
    page = copy / "report.html"
    page.write_text(page.read_text().replace("</h2>", " indeed</h2>", 1))
    done = call("verify", copy)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].endswith(
        "its page was not checked: `trainedon report` writes it anew."
    )


def test_a_sentence_that_was_changed_on_the_page(copy):
    page = (copy / "report.html").read_text()
    (copy / "report.html").write_text(
        page.replace("Was this model trained on these", "This model was trained on these")
    )
    assert failed(copy) == {PAGE}
    assert "is not what the scores give" in next(c.detail for c in verify(copy) if c.name == PAGE)
    (copy / "report.html").unlink()
    assert failed(copy) == {PAGE}


def test_pictures_that_were_exchanged(copy):
    rewrite(copy / "pictures.parquet", lambda rows: rows[3].update(sha256="0" * 64))
    assert {FILES, PICTURES, SCORES} <= failed(copy)


def test_an_attack_that_was_left_out(copy):
    def without_loss(rows):
        rows[:] = [row for row in rows if row["attack"] != "loss"]

    rewrite(copy / "scores.parquet", without_loss)
    assert {FILES, SCORES, STATISTICS} <= failed(copy)


def test_an_exhibit_of_another_score(copy):
    path = next(copy.glob("restored/*/evidence.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"score": 1.0}))
    assert failed(copy) == {EXHIBITS, RESTORED}


def test_an_unfinished_run_and_no_run(copy, tmp_path):
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert failed(copy) == {"the run is complete"}
    with pytest.raises(UserError, match="not a run folder"):
        verify(tmp_path / "nowhere")


def test_verify_changes_nothing(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    verify(copy)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_what_is_not_of_the_run_and_choices_made_afterwards(copy):
    (copy / "peaks.json").write_text("{}")
    assert failed(copy) == {STATISTICS}
    (copy / "peaks.json").unlink()
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | {"choices": record["choices"] | {"lead": "cdi"}}))
    assert SCORES in failed(copy), "the leading test was chosen after the scores were seen"
    turned = record["choices"]["attacks"][::-1]
    (copy / "run.json").write_text(json.dumps(record | {"choices": record["choices"] | {"attacks": turned}}))
    assert SCORES in failed(copy)


def test_a_draw_that_the_run_was_not_made_with_has_no_part_in_it(copy):
    before = (copy / "audit.json").read_text()
    (copy / "draw.json").write_text("{}")
    conclude(copy)
    assert (copy / "audit.json").read_text() == before


def test_evidence_pictures_that_were_exchanged_added_or_taken_away(copy):
    first, second = sorted(copy.glob("restored/*/original.png"))[:2]
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert RESTORED in failed(copy)
    first.write_bytes(data)
    assert not failed(copy)
    (first.parent / "restored-2.png").write_bytes(data)
    assert RESTORED in failed(copy)
    (first.parent / "restored-2.png").unlink()
    first.unlink()
    assert RESTORED in failed(copy)


def test_a_run_of_before_evidence_pictures_were_recorded(copy):
    record = json.loads((copy / "run.json").read_text())
    del record["restored"]
    (copy / "run.json").write_text(json.dumps(record))
    (check,) = [check for check in verify(copy) if check.name == RESTORED]
    assert check.ok is None and "not recorded" in check.detail
    assert not failed(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"digest": "0" * 64}},
        {"inputs": {"suspect": {"digest": "0" * 64}}},
        {"rendering": {"fit": "pad"}},
        {"labels": {"X()": "x"}},
        *slowly(
            {"choices": {"precision": "bfloat16"}},
            {"choices": {"device": "cuda:0"}},
            {"rendering": {"alpha": "black"}},
            {"controls": {"X()": {"of": "Y()", "captions": "fixed"}}},
            {"schema_version": 3},
        ),
    ],
)
def test_a_record_that_contradicts_its_identity(copy, change):
    record = json.loads((copy / "run.json").read_text())
    ((name, value),) = change.items()
    record[name] = (record[name] | value) if isinstance(value, dict) else value
    (copy / "run.json").write_text(json.dumps(record))
    assert RECORD in failed(copy)


def places(value, place=()):
    """Where in a JSON value something can be exchanged: the keys that lead there."""
    yield place
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*place, key))


def exchanged(value, place, new):
    if not place:
        return new
    key, *rest = place
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = exchanged(value[key], rest, new)
    return changed


@pytest.mark.slow
def test_whatever_stands_in_a_record_is_no_more_than_a_check_that_failed(copy):
    record = json.loads((copy / "run.json").read_text())
    odd = [None, [], {}, -1, "x", True, [[]], {"a": None}, 10**30]
    for number, place in enumerate(places(record)):
        (copy / "run.json").write_text(json.dumps(exchanged(record, place, odd[number % len(odd)])))
        for check in verify(copy):
            assert "could not be checked" not in check.detail, (place, odd[number % len(odd)], check)


def test_links_and_pipes_are_named(copy):
    path = next(copy.glob("restored/*/region.png"))
    path.unlink()
    path.symlink_to("/etc/hostname")
    (check,) = [check for check in verify(copy) if check.name == CONTENTS]
    assert check.ok is False and "region.png is a link" in check.detail
    assert PAGE in failed(copy), "the page shows nothing of what a link leads to"


def test_an_evidence_picture_of_millions_of_pixels_is_not_unpacked(copy):
    Image.new("RGB", (4000, 4000)).save(next(copy.glob("restored/*/original.png")))
    (check,) = [check for check in verify(copy) if check.name == PAGE]
    assert check.ok is False and "is 4000 x 4000, and the model makes 16 x 16" in check.detail


def test_a_picture_without_a_row(copy):
    rewrite(copy / "scores.parquet", lambda rows: rows.pop())
    assert SCORES in failed(copy)


def test_a_list_that_was_written_whole_before_it_was_bounded():
    whole = {"pictures": [{"picture": name} for name in "abcd"]}
    now = {"pictures": whole["pictures"][:3], "n_not_listed": 1}
    assert not [*differences({"agreement": whole}, {"agreement": now})]
    assert [*differences({"agreement": {"pictures": [*whole["pictures"], {}]}}, {"agreement": now})]
    assert [*differences({"agreement": {"pictures": [{}, *whole["pictures"][1:]]}}, {"agreement": now})]
    assert [*differences({"agreement": {"pictures": now["pictures"]}}, {"agreement": now})]
