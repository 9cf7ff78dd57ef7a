"""Pickled checkpoints become safetensors: their tensors alone, and none of their code runs."""

import argparse
import json
import os
import pickle
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from commandline import call
from filelock import FileLock
from forked import interpreted
from safetensors.torch import load_file
from torch import nn

import trainedon as to
from trainedon.errors import UserError
from trainedon.targets.checkpoints import convert, unpickled
from trainedon.targets.checkpoints.beside import is_aside
from trainedon.targets.checkpoints.stand_ins import Array, Left, NumberType, Scalar


class Settings:
    """What a training program keeps beside the weights."""

    def __init__(self):
        self.rate = 0.1


class Calls:
    """A pickle that calls something where it is opened in the usual way."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3))


@pytest.fixture
def fresh():
    """Where the other process is to be what it is for people, one that starts from nothing."""


@pytest.fixture
def here(tmp_path, monkeypatch, request, tmp_path_factory):
    """A folder to work in. Unless it is to be `fresh`, the process that opens a checkpoint is a copy of one that has
    imported PyTorch."""
    monkeypatch.chdir(tmp_path)
    if "fresh" not in request.fixturenames:
        printed = tmp_path_factory.mktemp("printed")
        monkeypatch.setattr(convert.subprocess, "run", lambda command, **_options: interpreted(command, printed))
    return tmp_path


def assert_same(file, state):
    found = load_file(file)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def names(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


def test_each_dictionary_of_tensors_becomes_a_file(network, fresh, here):
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    ema = {name: value + 1 for name, value in network.state_dict().items()}
    torch.save(
        {
            "model": network.state_dict(),
            "ema/0.99": ema,
            "opt": optimizer.state_dict(),
            "step": 7,
            "loss": float("nan"),
            "args": argparse.Namespace(size=8),
            "settings": Settings(),
        },
        "all.pt",
    )
    done = call("convert", "all.pt", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "out/model.safetensors: 9 tensors, of 'model'" in done.stdout and "Left out: opt; --only KEY" in done.stdout
    assert_same("out/model.safetensors", network.state_dict())
    assert_same("out/ema_0.99.safetensors", ema)
    listed = json.loads(Path("out/convert.json").read_bytes())
    assert listed["source"] == "all.pt" and len(listed["sha256"]) == 64
    assert listed["values"] == {"step": 7, "loss": "nan"} and listed["left_out"] == ["opt"]
    assert any(name.endswith("Settings") for name in listed["not_opened"])
    assert names("out") == ["convert.json", "ema_0.99.safetensors", "model.safetensors"]
    assert names() == ["all.pt", "out"]


def served(checkpoint, out=None, only=None):
    """What the other process says, in this one; without leaving the network, limits or hooks."""
    size = Path(checkpoint).stat().st_size
    from safetensors.torch import save_file

    with Path(checkpoint).open("rb") as stream:
        return unpickled._converted(stream, size, Path(out or "."), only, torch, save_file)


def test_the_dictionary_may_be_the_checkpoint_or_a_whole_module(network, here):
    torch.save(network.state_dict(), "flat.pt")
    torch.save(network, "module.pt")
    torch.save({"state_dict": network.state_dict()}, "old.pt", _use_new_zipfile_serialization=False)
    for file, key, top in (("flat.pt", "model", True), ("module.pt", "model", True), ("old.pt", "state_dict", False)):
        assert served(file)["files"] == {".0.safetensors": {"key": key, "top": top, "tensors": 9}}
        assert_same(".0.safetensors", network.state_dict())


@pytest.mark.parametrize(
    ("beside", "called"), [({}, "model"), ({"optimizer": "adam"}, "model"), ({"ema": "ema", "opt": "adam"}, "top")]
)
def test_tensors_at_the_top_are_a_state_of_their_own(beside, called, network, here):
    states = {"ema": network.state_dict(), "adam": {"exp_avg": torch.ones(3)}}
    torch.save({"betas": torch.ones(4), "w": torch.zeros(2)} | {key: states[name] for key, name in beside.items()}, "a")
    told = served("a")
    assert {one["key"] for one in told["files"].values()} == {called} | {*beside} & {"ema"}
    assert told["aside"] == [key for key in beside if key.startswith("opt")]
    file = next(file for file, one in told["files"].items() if one["key"] == called)
    assert_same(file, {"betas": torch.ones(4), "w": torch.zeros(2)})


def test_arrays_of_numpy_are_tensors_and_its_numbers_numbers(here):
    arrays = {
        "rows": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "swapped": np.arange(3, dtype=">f8"),
        "half": np.ones(2, np.float16),
        "none": np.zeros((0, 3), np.int64),
        "yes": np.array([True, False]),
    }
    others = {"words": np.array(["a", None]), "rate": np.float64(0.5), "step": np.int64(3)}
    for old in (False, True):
        torch.save({"ema": arrays, "mean": arrays["rows"]} | others, "np.pt", _use_new_zipfile_serialization=not old)
        told = served("np.pt")
        assert told["values"] == {"rate": 0.5, "step": 3} and told["unknown"] == [
            "numpy.ndarray of other things than numbers"
        ]
        assert_same(
            ".0.safetensors",
            {name: torch.from_numpy(a.astype(a.dtype.newbyteorder("="))) for name, a in arrays.items()},
        )
        assert_same(".1.safetensors", {"mean": torch.from_numpy(arrays["rows"])})


def test_what_is_said_of_an_array_is_checked_and_never_given_to_numpy():
    kind = NumberType("f4", False, True)
    kind.__setstate__((3, "<", None, None, None, -1, -1, 0))
    for shape, data in (((3,), bytes(8)), ((2**40,), bytes(8)), ((-2,), bytes(8)), ((2, True), bytes(8))):
        one = Array()
        one.__setstate__((1, shape, kind, False, data))
        with pytest.raises(ValueError, match="not as many bytes"):
            one.numbers()
    for code in ("O8", "V8", "U2", "c8", "f4,f4", ["f4"], "f4 "):
        one = Array()
        one.__setstate__((1, (1,), NumberType(code), False, bytes(8)))
        assert one.numbers() is None and Scalar(NumberType(code), bytes(8)).number() is None
    assert Array().numbers() is None and Scalar().number() is None


def test_a_key_in_half_characters_is_refused_by_name(here):
    for checkpoint in ({"a\ud800": {"w": torch.ones(1)}}, {"model": {"a\ud800": torch.ones(1)}}):
        torch.save(checkpoint, "odd.pt")
        with pytest.raises(UserError, match=r"its key 'a\\ud800' is no text: save it anew"):
            to.convert("odd.pt", "out")
    torch.save({"model": {"w": torch.ones(1)}, "note": "a\ud800"}, "odd.pt")
    assert served("odd.pt")["values"] == {"note": "a\\ud800"}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            pickle.UnpicklingError("Trying to load unsupported GLOBAL os.system whose module os is blocked."),
            "call os.system",
        ),
        (
            pickle.UnpicklingError("GLOBAL a.B was not an allowed global by default."),
            "before PyTorch 1.6 and names a.B",
        ),
        (RuntimeError("PytorchStreamReader failed reading zip archive"), "cut short: get it again"),
        (RuntimeError("Invalid magic number; corrupt file?"), "not written by torch.save"),
        (MemoryError(), "more memory than an honest checkpoint"),
    ],
)
def test_refusals_say_what_to_do_in_our_words(error, says):
    said = unpickled.said(error)
    assert says in said and not any(word in said for word in ("GLOBAL", "weights_only", "Pytorch", "magic"))


def test_no_file_takes_the_place_of_another(here):
    torch.save({key: {"w": torch.full((3,), float(number))} for number, key in enumerate(("1", "x", "0"))}, "all.pt")
    assert to.convert("all.pt", "out").files == {f"{key}.safetensors": (key, 1) for key in ("1", "x", "0")}
    for number, key in enumerate(("1", "x", "0")):
        assert_same(f"out/{key}.safetensors", {"w": torch.full((3,), float(number))})


def test_states_of_one_storage_are_bounded_together(here):
    shared = torch.ones(300_000)
    torch.save({f"state{number}": {"w": shared} for number in range(9)}, "all.pt")
    with pytest.raises(ValueError, match=r"larger than the file: .*; --only KEY takes one state alone"):
        served("all.pt")
    assert names() == ["all.pt"]
    assert len(served("all.pt", only="state3")["files"]) == 1


def test_what_is_no_tensor_is_kept_or_named(here):
    torch.save(
        {
            "model": {"module.w": torch.ones(2), "module.b": torch.ones(1), "scale": np.float32(3.5), "note": "n"},
            "betas": [0.1, 0.2],
            "config": {"lr": 1e-4, 3: ("unet", None)},
            "text": "x" * 201,
            "rng_state": (3, (1, 2), None),
            "many": list(range(20_000)),
        },
        "all.pt",
    )
    told = served("all.pt")
    assert told["values"] == {"betas": [0.1, 0.2], "config": {"lr": 1e-4, "3": ["unet", None]}}
    assert told["dropped"] == ["text", "rng_state", "many", "model: scale", "model: note"]


def test_the_lines_say_where_tensors_lay_how_they_are_called_and_what_is_next(here):
    torch.save({"module.w": torch.ones(2), "module.b": torch.ones(1), "step": 3}, "bare.pt")
    lines = call("convert", "bare.pt", "--out", "out").stdout.splitlines()
    assert lines[0] == "out/model.safetensors: 2 tensors, at the top; all their names begin with 'module.'"
    assert lines[1] == "out/convert.json: 1 value: step"
    assert "trainedon audit out/model.safetensors" in lines[-1] and "docs/own-networks.md" in lines[-1]
    assert json.loads(Path("out/convert.json").read_bytes())["files"]["model.safetensors"]["key"] is None
    torch.save({"ema": {"w": torch.ones(2)}}, "one.pt")
    assert "ema.safetensors: 1 tensor, of 'ema'\n" in call("convert", "one.pt", "--out", "one").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there modes say nothing")
def test_all_files_have_the_mode_that_new_files_have(network, here):
    torch.save(network.state_dict(), "flat.pt")
    to.convert("flat.pt", "out")
    Path("new").touch()
    assert {path.stat().st_mode for path in Path("out").iterdir()} == {Path("new").stat().st_mode}


def test_optimisers_are_told_from_words_that_begin_alike():
    aside = ("opt", "optimizer", "optim_g", "opt_state", "optimizer_states", "scaler", "lr_schedulers", "scheduler")
    assert all(map(is_aside, (*aside, "rng_state", "cuda_rng_state", "callbacks", "loops", "Optimizer")))
    assert not any(map(is_aside, ("optics", "options", "scheduled_unet", "model", "ema", "loopy", "loopnet")))


def test_one_key_may_be_asked_for(network, here):
    torch.save({"a": network.state_dict(), "opt": {"b": torch.ones(2)}}, "all.pt")
    assert served("all.pt", only="opt")["files"] == {".0.safetensors": {"key": "opt", "top": False, "tensors": 1}}
    assert served("all.pt", only="opt")["aside"] == ["a"]
    with pytest.raises(ValueError, match="no tensors under 'ema': 'a', 'opt' are there"):
        served("all.pt", only="ema")


def test_what_shares_memory_or_is_no_block_of_it_is_written_out(here):
    one = torch.arange(6.0).view(2, 3)
    state = {"a": one, "b": one, "c": one.t(), "d": one[:, 1]}
    torch.save(state, "shared.pt")
    served("shared.pt")
    assert_same(".0.safetensors", state)


@pytest.mark.parametrize(
    "harm",
    [Calls(eval, "open('ran', 'w')"), Calls(subprocess.call, ["touch", "ran"]), Calls(socket.create_connection, "x")],
    ids=["eval", "program", "network"],
)
def test_what_a_pickle_would_call_stands_in_as_nothing(harm, network, here):
    torch.save({"model": network.state_dict(), "harm": harm}, "harm.pt")
    told = served("harm.pt")
    assert told["files"] and len(told["unknown"]) == 1
    assert not Path("ran").exists()


def test_left_keeps_what_it_is_given_and_does_nothing():
    one = Left("any", thing=3)
    one.__setstate__({"a": 1})
    one.__setstate__(({"b": 2}, None))
    one.__setstate__("text")
    assert one == {"a": 1, "b": 2} and hash(one) != hash(Left())


def deep(levels):
    nested = {"x": torch.ones(1)}
    for _ in range(levels):
        nested = {"n": nested}
    return nested


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"model": torch.zeros(1).expand(10**5, 10**5)}, "larger than the file"),
        ({"model": {"a": torch.zeros(2, dtype=torch.complex64)}}, "sparse, quantised or complex"),
        ({1: torch.zeros(1), "1": {"a": torch.ones(1)}}, "two of its keys are written alike, 1 and '1': save it anew"),
        ({"a": {1: torch.zeros(1), "1": torch.ones(1)}}, "two of its tensors are called '1'"),
        ({"w": torch.zeros(1), "top": {"a": torch.ones(1)}}, "lie at its top and also under 'top'"),
        ({"optimizer": {"a": torch.ones(1)}}, "no tensors but those of 'optimizer', which --only KEY takes"),
        ({"a": {"b.c": torch.zeros(1), "b": {"c": torch.ones(1)}}}, "two of its tensors are called 'b.c'"),
        (deep(80), "nested too deep"),
        ({"model": {"w": torch.empty(3, device="meta")}}, r"'w' has a shape and no numbers \(device meta\)"),
        ({"model": {"__metadata__": torch.ones(3)}}, "called __metadata__, which safetensors keep"),
        ({"step": 3}, "it holds no tensors"),
        ([torch.zeros(1)], "it holds a list, and no dictionary of tensors"),
    ],
)
def test_what_makes_no_sense_is_refused(value, says, here):
    torch.save(value, "odd.pt")
    with pytest.raises((ValueError, pickle.UnpicklingError), match=says):
        served("odd.pt")
    assert not Path("ran").exists()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_refused_by_name(here):
    torch.save({"model": {"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}}, "odd.pt")
    with pytest.raises(ValueError, match="'w' is a nested tensor"):
        served("odd.pt")


def test_what_pytorch_never_opens_is_refused(here):
    torch.save({"x": Calls(os.mkdir, "ran")}, "odd.pt")
    with pytest.raises(UserError, match=r"it would call posix\.mkdir, and no honest checkpoint does"):
        to.convert("odd.pt", "out")
    assert names() == ["odd.pt"]


def test_what_a_killed_process_left_goes_with_the_next_call(network, here):
    torch.save(network.state_dict(), "flat.pt")
    left = Path(".out.tmp/out")
    left.mkdir(parents=True)
    (left / ".0.safetensors").write_bytes(b"half")
    (left / ".convert.json.tmp").touch()
    to.convert("flat.pt", "out")
    assert names() == ["flat.pt", "out"] and names("out") == ["convert.json", "model.safetensors"]


def test_a_hidden_folder_of_others_stays(network, here):
    torch.save(network.state_dict(), "flat.pt")
    Path(".out.tmp/out").mkdir(parents=True)
    Path(".out.tmp/out/mine.txt").touch()
    with pytest.raises(UserError, match="none of this program's"):
        to.convert("flat.pt", "out")
    Path(".out.tmp/out/mine.txt").unlink()
    with FileLock(".out.tmp/.lock"), pytest.raises(UserError, match="another process writes out"):
        to.convert("flat.pt", "out")
    to.convert("flat.pt", "out")
    assert names() == ["flat.pt", "out"]


def test_what_is_packed_or_a_program_is_refused(network, here):
    torch.save({"model": torch.zeros(100_000)}, "plain.pt")
    with zipfile.ZipFile("plain.pt") as plain, zipfile.ZipFile("packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with zipfile.ZipFile("program.pt", "w") as program:
        program.writestr("model/code/__torch__.py", "pass")
    for file, says in (("packed.pt", "it is packed"), ("program.pt", "a program of TorchScript")):
        with pytest.raises(ValueError, match=says):
            served(file)


def test_what_is_no_checkpoint_is_refused_in_one_line(here):
    Path("noise.pt").write_bytes(b"\x80\x02" + bytes(range(200)))
    done = call("convert", "noise.pt", "--out", "out")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "noise.pt was not converted" in done.stderr
    assert names() == ["noise.pt"]


def test_of_a_folder_the_files_are_named(here):
    left = here / "checkpoint-500"
    left.mkdir()
    with pytest.raises(UserError, match=r"checkpoint-500 is a folder: give .*\(it holds none that ends in \.pt"):
        to.convert(left, here / "out")
    for name in ("pytorch_model.bin", "optimizer.bin", "random_states_0.pkl", "notes.txt"):
        (left / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"\(it holds optimizer\.bin, pytorch_model\.bin, random_states_0\.pkl\)"):
        to.convert(left, here / "out")


def test_what_can_be_refused_at_once_is(here):
    Path("full").mkdir()
    Path("full/mine").touch()
    Path("model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for checkpoint, out, says in [
        ("nowhere.pt", "out", "nowhere.pt does not exist"),
        ("model.safetensors", "out", "is a safetensors file already"),
        ("model.safetensors", "full", "full is there already"),
        ("full", "out", "full is a folder: give the file in it"),
    ]:
        with pytest.raises(UserError, match=says):
            to.convert(checkpoint, out)


CHILD = """
import os, socket, subprocess, sys
from trainedon.targets.checkpoints import convert, unpickled
alone = unpickled._without_network()
unpickled._limit(1000)
unpickled._forbid()
def refused(what):
    try:
        what()
    except PermissionError:
        return True
    return False
tried = [lambda: socket.socket(), lambda: subprocess.run(["true"]), lambda: os.system(""), lambda: open("ran", "w")]
print(alone, *map(refused, tried), refused(lambda: open(os.devnull)))
try:
    bytearray(2**33)
except MemoryError:
    print("bounded")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory hold on Linux")
def test_the_process_has_neither_network_nor_programs_nor_much_memory(fresh, here):
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.split()[1:] == ["True", "True", "True", "True", "False"] and second == "bounded"
    assert not Path("ran").exists()
