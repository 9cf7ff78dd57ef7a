"""Controls with other captions in a run: scored beside the attacks, and kept apart from them."""

import json
import pickle
import shutil

import pyarrow.parquet as pq
import pytest

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.pool import Pool
from trainedon.errors import UserError
from trainedon.runs import Plan, run, verify
from trainedon.targets import load_target


@pytest.fixture
def sets(toy_pictures, tmp_path):
    folders = {"member": tmp_path / "members", "unseen": tmp_path / "unseen"}
    for (name, folder), source in zip(folders.items(), ("members", "unseen"), strict=True):
        folder.mkdir()
        for number in range(6):
            shutil.copy(toy_pictures[source] / f"{number:02d}.png", folder)
            (folder / f"{number:02d}.txt").write_text(f"{name} number {number}")
    return folders


def test_a_run_with_captions_makes_its_controls_and_records_them(target_folders, sets, tmp_path):
    target, out = load_target(target_folders["stable diffusion"]), tmp_path / "run"
    plan = Plan("evaluate", sets, parse_attacks("loss(t=30), recaptioned(loss(t=30), captions=none)"))
    document = run(target, plan, out, lambda *_: None)
    pool = Pool.of(f"{name} number {i}" for name in sets for i in range(6))
    loss, none = map(repr, plan.attacks)
    record = json.loads((out / "run.json").read_text())
    fixed, shuffled = record["controls"]
    assert record["controls"] == {
        fixed: {"of": loss, "captions": "fixed"},
        shuffled: {"of": loss, "captions": "shuffled"},
    }
    assert repr(pool) in shuffled and "pool=None" in fixed
    assert record["identity"]["attacks"] == record["choices"]["attacks"] == [loss, none]
    assert [cost["attack"] for cost in record["costs"]] == [loss, none, fixed, shuffled]
    assert [attack.repr for attack in document.attacks] == [loss, none]
    assert [(one.of, one.repr) for one in document.prompt_controls] == [(loss, fixed), (loss, shuffled)]
    rows = pq.read_table(out / "scores.parquet").to_pylist()
    scores = {(row["attack_repr"], row["set"], row["picture"]): row["score"] for row in rows}
    assert len(scores) == 4 * 12 and len(set(scores.values())) == 4 * 12
    assert "Recaptioned" not in (out / "report.html").read_text().split("<h2>Captions</h2>")[1].split("</section>")[0]
    assert all(check.ok is not False for check in verify(out))
    record["controls"] = {}
    (out / "run.json").write_text(json.dumps(record))
    failed = [check.name for check in verify(out) if check.ok is False]
    assert {"the record agrees with itself", "scores belong to these pictures and attacks"} <= {*failed}
    with pytest.raises(UserError, match="other choices"):
        run(target, Plan("evaluate", sets, plan.attacks, controls=False), out, lambda *_: None)


def test_workers_get_the_captions_of_the_run_with_the_attack():
    (attack,) = parse_attacks("recaptioned(loss, captions=shuffled)")
    pool = Pool.of(["a", "b"])
    again = pickle.loads(pickle.dumps(type(attack)(attack.attack, "shuffled", pool=pool)))  # noqa: S301
    assert again.pool.captions == ("a", "b") and again.pool == pool
