"""`run.json` as a type: what any version wrote is read and written back as it was, and has a published schema."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.formats import RunRecord, read_record, write_record
from trainedon.formats.earlier_records import declared
from trainedon.formats.run_record import CostEntry, DeclaredEntry, RunIdentity
from trainedon.runs.folder import check_begun, check_same

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "data" / "runs"
RUNS = ("audit", "evaluate", "stopped")
CHECK = Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / "run-2.json").read_text("utf-8")))


def test_formats_need_neither_torch_nor_pillow():
    code = "import sys, trainedon.formats.arrow_schemas, trainedon.formats.earlier_records as e; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "PIL", "diffusers", "sklearn"} & {*done.stdout.split()}


@pytest.mark.parametrize("name", RUNS)
def test_a_record_of_version_1_is_written_back_byte_for_byte(name, tmp_path):
    record = read_record(STORED / name)
    assert record.schema_version == 1 and record.declared is None and isinstance(record.costs[0], CostEntry)
    write_record(tmp_path, record)
    assert (tmp_path / "run.json").read_bytes() == (STORED / name / "run.json").read_bytes()


@pytest.mark.parametrize("name", RUNS)
def test_the_published_schema_takes_what_is_read_and_refuses_what_is_not(name):
    value = json.loads((STORED / name / "run.json").read_text("utf-8"))
    assert CHECK.is_valid(value) and CHECK.is_valid({"kind": "audit"}), "an earlier record has fewer entries"
    for change in ({"kind": "guess"}, {"files": "x"}, {"costs": [{"attack": "Loss()"}]}, {"identity": {"attacks": 1}}):
        assert not CHECK.is_valid(value | change)


def test_an_entry_that_was_left_out_has_its_default_and_is_not_written(tmp_path):
    (tmp_path / "run.json").write_text('{"kind": "evaluate", "inputs": {"member": "somewhere"}, "of tomorrow": [1]}')
    record = read_record(tmp_path)
    assert record.choices.lead == "first" and record.identity.precision == "float32" and record.model.shape is None
    assert record.inputs["member"].path == "somewhere" and not record.is_complete
    assert record.told() == {"kind": "evaluate", "inputs": {"member": {"path": "somewhere"}}, "of tomorrow": [1]}
    noted = record.noted("a", "b", "a").noted("b")
    assert noted.notes == ["a", "b"] and "notes" in noted.told() and record.notes == []


@pytest.mark.parametrize(
    ("version", "goes_on"), [(1, True), (2, True), (3, False), (None, False)], ids=["1", "2", "3", "none"]
)
def test_runs_of_versions_that_are_known_go_on(version, goes_on, tmp_path):
    identity = RunIdentity(kind="audit", model="m", attacks=["Loss()"])
    write_record(tmp_path, RunRecord(schema_version=version, kind="audit", identity=identity))
    if goes_on:
        assert check_same(tmp_path, identity).identity == identity
    else:
        with pytest.raises(UserError, match="another version of trainedon: choose another --out"):
            check_same(tmp_path, identity)


def test_another_identity_is_refused_by_what_differs(tmp_path):
    identity = RunIdentity(kind="audit", model="m", attacks=["Loss()"], pictures={"unseen": "1"})
    write_record(tmp_path, RunRecord(schema_version=2, kind="audit", identity=identity))
    check_begun(tmp_path, RunIdentity(kind="audit", model="m"))
    with pytest.raises(UserError, match=r"\(model was 'm', is 'n'\)"):
        check_begun(tmp_path, RunIdentity(kind="audit", model="n"))
    other = identity.model_copy(update={"precision": "bfloat16", "pictures": {"unseen": "2"}})
    with pytest.raises(
        UserError, match=r"the pictures of the set unseen are others.*precision was None, is 'bfloat16'"
    ):
        check_same(tmp_path, other)


@pytest.mark.parametrize(
    "spec",
    ["drc", "drc-fast", "drc-hide", "drc-latent", "drc-paper", "drc-hide(symmetries=mirror)", "loss", "flip(drc)"],
)
def test_what_version_1_left_to_the_parameters_is_what_attacks_declare(spec):
    (attack,) = parse_attacks(spec)
    found = declared(RunRecord(kind="audit"), attack.name, repr(attack))
    assert found.shown_as == attack.shown_as
    assert attack.shown_as is None or found.relative_to == attack.relative_to


def test_what_is_recorded_is_believed_and_not_the_parameters():
    record = RunRecord(kind="audit", declared={"DRC(Diffuse(t=1))": DeclaredEntry(shown_as="hidden")})
    assert declared(record, "drc", "DRC(Diffuse(t=1))") == DeclaredEntry(shown_as="hidden")
    assert declared(record, "drc", "DRC(Fade(t=1))") == DeclaredEntry()


def test_a_run_folder_without_a_record_or_with_a_damaged_one_is_named(tmp_path):
    with pytest.raises(UserError, match=r"is not a run folder: it has no run.json"):
        read_record(tmp_path)
    shutil.copy(STORED / "audit" / "run.json", tmp_path)
    path = tmp_path / "run.json"
    path.write_text(path.read_text("utf-8").replace('"timesteps": 1000', '"timesteps": 10000000'), "utf-8")
    with pytest.raises(UserError, match=r"no record of a run \(model.timesteps: Input should be less than or equal"):
        read_record(tmp_path)


def test_entries_that_only_have_their_default_are_spared_where_a_record_leaves_them_out():
    entry = RunIdentity(kind="audit", model="m", precision="float32", lead="cdi", controls=[], draw=None)
    assert entry.sparing("precision", "lead", "controls").told() == {
        "kind": "audit",
        "model": "m",
        "lead": "cdi",
        "draw": None,
    }
    assert [*entry.but(device="cpu").sparing("draw", "controls").told()] == [
        *("kind", "model", "device", "precision", "lead"),
    ], "entries are written in the order of the record"
