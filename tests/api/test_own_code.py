"""`my_module:callable`: the auditor's own code opens the model, by the command line and in Python."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commandline import call

import trainedon as to
from trainedon.api.own_code import names_callable

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_network.py"
FEW = to.Choices(limit=8)
MODULE = """
import torch
from torch import nn
import trainedon as to


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Embedding(1000, 3)
        self.enter = nn.Conv2d(3, 8, 3, padding=1)
        self.leave = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x, t):
        return self.leave(torch.tanh(self.enter(x + self.time(t)[:, :, None, None])))


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net()


def make_target(seed=0, **how):
    return to.Target.of(net(seed), betas="linear", shape=(3, 16, 16), prediction="epsilon", **how)


def another():
    return make_target(seed=1)


def plain():
    network = net().eval()
    return to.Target.of(lambda x, t: network(x, t), betas="linear", shape=(3, 16, 16), prediction="epsilon")


def number():
    return 3


def nothing():
    pass


def fails():
    return {}["weights"]


def leaves():
    raise SystemExit("usage: train.py DATA")


def told_wrong():
    return make_target(times="share")


def needs(path):
    return path


constant = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch, toy_pictures):
    """A folder with her module, named anew for each test, in which commands run; the module's name is in it."""
    name = f"hers_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("def make(:\n")
    (tmp_path / "lacking.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != ""])  # as the installed command has it
    for folder in ("members", "unseen"):
        (tmp_path / folder).symlink_to(toy_pictures[folder], target_is_directory=True)
    yield name
    for module in (name, "broken", "lacking"):
        sys.modules.pop(module, None)


def audited(model, *more, out="run", attacks="loss"):
    words = ("--out", out, "--attacks", attacks, "--device", "cpu", "--limit", "8", *more)
    return call("audit", model, "members", *words)


def test_a_network_of_ones_own_is_audited_from_the_command_line(here):
    done = audited(f"{here}:make_target", "--unseen", "unseen")
    assert done.returncode == 0, done.stderr
    record = json.loads(Path("run/run.json").read_bytes())
    own = record["model"]["own_code"]
    assert own["source"] == f"{here}:make_target" and own["hashed"] and len(own["code"]) == 64
    assert own["asked"] == "linear betas; t as index; answers epsilon; pictures in [-1, 1]"
    assert record["model"]["name"] == "Net" and len(record["model"]["digest"]) == 64
    assert f"opened by the auditor's own code, {here}:make_target: that it is the network" in record["notes"][0]
    assert "opened by the auditor&#39;s own code" in Path("run/report.html").read_text("utf-8")


def test_it_scores_as_the_same_target_does_in_python(here):
    audited(f"{here}:make_target", "--unseen", "unseen")
    module = __import__(here)
    for model, run in ((module.make_target(), "again"), (f"{here}:make_target", "by-name")):
        to.audit(model, "members", unseen="unseen", attacks="loss", out=run, choices=FEW)
    first, *others = (
        pq.read_table(Path(run, "scores.parquet")).column("score").to_numpy() for run in ("run", "again", "by-name")
    )
    assert all(np.array_equal(first, one) for one in others) and np.isfinite(first).all()
    told = [json.loads(Path(run, "run.json").read_bytes()) for run in ("run", "again")]
    assert told[0]["model"]["digest"] == told[1]["model"]["digest"] and told[1]["model"]["own_code"]["source"] is None


@pytest.mark.slow
def test_the_other_commands_take_it_too(here):
    model, sets = f"{here}:make_target", ("--members", "members", "--unseen", "unseen")
    device = ("--device", "cpu", "--limit", "8")
    assert call("evaluate", model, *sets, "--attacks", "loss, pia, drc-fast", "--out", "e", *device).returncode == 0
    assert call("sweep", model, *sets, "--attack", "loss", "--vary", "t=50,200", "--out", "s", *device).returncode == 0
    planned = call("plan", model, "1000", "--attacks", "loss", *device[:2])
    assert planned.returncode == 0 and "passes" in planned.stdout
    for run in ("e", "s"):
        assert call("verify", run).returncode == 0 and call("report", run).returncode == 0


def test_it_goes_on_where_it_was_interrupted(here):
    def evaluated(name, out, progress=None):
        how = {"attacks": "loss, drc-fast", "choices": FEW, "progress": progress}
        return to.evaluate(f"{here}:{name}", "members", "unseen", out=out, **how)

    def stop(what, done, total):
        if what.startswith("drc-fast"):
            raise KeyboardInterrupt

    whole = evaluated("make_target", "whole")
    with pytest.raises(KeyboardInterrupt):
        evaluated("make_target", "parts", stop)
    with pytest.raises(to.UserError, match=r"holds a run with other choices \(model was"):
        evaluated("another", "parts")
    with Path(f"{here}.py").open("a") as module:
        module.write("# changed\n")
    parts = evaluated("make_target", "parts")
    assert [one.auc for one in parts.attacks] == [one.auc for one in whole.attacks]
    assert any("own code that opens the model was changed" in note for note in parts.run_notes)
    assert not any("was changed before" in note for note in whole.run_notes)


def test_a_run_on_weights_that_nobody_knows_says_so_and_is_not_gone_on_with(here):
    assert audited(f"{here}:plain").returncode == 0
    record = json.loads(Path("run/run.json").read_bytes())
    assert record["model"]["own_code"]["hashed"] is False
    assert any("weights were not at hand and not hashed" in note for note in record["notes"])
    again = audited(f"{here}:plain")
    assert again.returncode == 2 and "give weights= to Target.of, or choose another --out" in again.stderr
    assert call("verify", "run").returncode == 0 and call("report", "run").returncode == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("number", "returned a value of type int: let it return a trainedon.Target"),
        ("nothing", "returned nothing: let it return"),
        ("fails", r"failed \({module}.py, line 46, in fails: KeyError: 'weights'\)"),
        ("leaves", r"failed \({module}.py, line 50, in leaves: SystemExit: usage: train.py DATA\)"),
        ("told_wrong", r"Net fails \({module}.py, line 15, in forward: RuntimeError: .*; it was given x_t float32 \["),
        ("needs", "is called with nothing, and it needs path: give these a default"),
        ("constant", "constant is a value of type int and cannot be called"),
        ("make_targt", r"has no make_targt \(did you mean make_target\?\)"),
    ],
)
def test_what_she_got_wrong_is_shown_as_hers(name, says, here):
    done = audited(f"{here}:{name}")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert re.search(says.replace("{module}", here), done.stderr), done.stderr
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nowhere:make", "there is no module nowhere: {here}/nowhere.py does not exist"),
        ("lacking.py:make", "lacking.py is a file: name its module without .py, as in lacking:make_target"),
        ("broken:make", "broken cannot be imported (broken.py, line 1: SyntaxError:"),
        ("lacking:make", "lacking.py, line 1, in <module>: ModuleNotFoundError: No module named 'not_installed_any"),
    ],
)
def test_a_module_that_cannot_be_imported(model, says, here):
    done = audited(model)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert says.replace("{here}", str(Path.cwd())) in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--precision", "bfloat16"], "--precision: {model} opens the model itself; choose that in its code"),
        (["--compile"], "--compile: "),
        (["--size", "64"], "--size: "),
        (["--adapter", "lora"], "--adapter: "),
        (["--device", "meta"], "--device meta: {model} opened the model on cpu"),
        (["--engine", "ray"], "no code runs there: {model} goes with --engine local"),
    ],
)
def test_options_that_are_its_own_to_choose(options, says, here):
    model = f"{here}:make_target"
    done = call("audit", model, "members", "--attacks", "loss", "--out", "run", *options)
    assert done.returncode == 2 and says.replace("{model}", model) in done.stderr, done.stderr


def test_the_batch_size_may_be_said(here):
    assert audited(f"{here}:make_target", "--batch-size", "8").returncode == 0
    assert json.loads(Path("run/run.json").read_bytes())["choices"]["rows"] == 8


def test_what_an_attack_lacks_is_said_before_any_picture_is_read(here):
    done = audited(f"{here}:make_target", attacks="drc-hide")
    assert done.returncode == 2 and "Net shows no features of its network" in done.stderr
    assert "reading" not in done.stderr and not Path("run").exists()


def test_no_other_argument_runs_code(here):
    Path("evil.py").write_text("open('ran', 'w').close()\n")
    for option in ("--control", "--reference", "--shadows"):
        done = audited(f"{here}:make_target", option, "evil:make", attacks="loss" if option != "--shadows" else "lira")
        assert done.returncode == 2, option
    assert not Path("ran").exists()


def test_no_code_that_a_run_names_is_run(here):
    """`verify`, `report` and the same command with another model read run.json, and import nothing that it names."""
    audited(f"{here}:make_target")
    Path("evil.py").write_text("open('ran', 'w').close()\ndef make(): pass\n")
    record = json.loads(Path("run/run.json").read_bytes())
    record["model"]["own_code"]["source"] = "evil:make"
    record["command"] = "trainedon audit evil:make members"
    Path("run/run.json").write_text(json.dumps(record))
    call("verify", "run")
    assert call("report", "run").returncode == 0
    audited(f"{here}:make_target")
    audited(f"{here}:another")
    assert not Path("ran").exists() and "evil" not in sys.modules


@pytest.mark.slow
def test_it_is_found_by_the_installed_command(here):
    """In a process of its own, whose path begins with the folder of the program."""
    code = "import sys; sys.path.remove(''); from trainedon.cli import main; main()"
    words = ["audit", f"{here}:number", "members", "--out", "run"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"{here}:number returned a value of type int" in done.stderr


def test_the_example_goes_from_training_to_the_table_of_attacks(here, monkeypatch):
    shutil.copy(EXAMPLE, Path.cwd())
    monkeypatch.setattr(sys, "argv", ["own_network.py", "members", "--steps", "3"])
    runpy.run_path("own_network.py", run_name="__main__")
    assert Path("own_network.pt").is_file()
    model, sets = "own_network:make_target", ("--members", "members", "--unseen", "unseen")
    attacks = "loss, drc-hide(steps=2, restorations=1)"
    done = call("evaluate", model, *sets, "--attacks", attacks, "--limit", "8", "--device", "cpu", "--out", "run")
    sys.modules.pop("own_network")
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("run/run.json").read_bytes())["model"]["name"] == "Denoiser"
    told = json.loads(Path("run/evaluation.json").read_bytes())["attacks"]
    assert [one["name"] for one in told] == ["loss", "drc-hide"] and all(one["auc"] is not None for one in told)


def test_what_is_meant_by_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder:name").mkdir()
    names = {
        "a:b",
        "package.module:make_target",
        "folder:name",
        "owner/name@main",
        "C:\\model",
        "/a:b",
        "a.py:b",
        "a:b:c",
    }
    assert {name for name in names if names_callable(name)} == {"a:b", "package.module:make_target", "a.py:b"}


def test_of_a_target_that_is_no_class_of_ours_the_digest_is_what_its_author_says(here, monkeypatch):
    from trainedon.targets.core.own_network import OwnNetwork

    monkeypatch.syspath_prepend(Path.cwd())

    class Brought(OwnNetwork):
        pass

    made = __import__(here).make_target()
    brought = Brought(**{name: getattr(made, name) for name in made.__dataclass_fields__})
    for target, hashed, out in ((made, True, "made"), (brought, False, "brought")):
        to.audit(target, "members", unseen="unseen", attacks="loss", out=out, choices=FEW)
        assert json.loads(Path(out, "run.json").read_bytes())["model"]["own_code"]["hashed"] is hashed


def test_weights_changed_after_a_run_do_not_get_its_scores(here, monkeypatch):
    monkeypatch.syspath_prepend(Path.cwd())
    target = __import__(here).make_target()
    how = {"unseen": "unseen", "attacks": "loss", "out": "run", "choices": FEW}
    to.audit(target, "members", **how)
    to.audit(target, "members", **how)
    for parameter in target.network.parameters():
        parameter.data += 1
    with pytest.raises(to.UserError, match=r"holds a run with other choices \(model was"):
        to.audit(target, "members", **how)
