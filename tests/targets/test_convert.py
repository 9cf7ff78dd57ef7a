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

import pytest
import torch
from commandline import call
from safetensors.torch import load_file
from torch import nn

import trainedon as to
from trainedon.errors import UserError
from trainedon.targets.checkpoints import unpickled
from trainedon.targets.checkpoints.unpickled import Left


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
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_same(file, state):
    found = load_file(file)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def names(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


def test_each_dictionary_of_tensors_becomes_a_file(network, here):
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
    for file, key in (("flat.pt", "model"), ("module.pt", "model"), ("old.pt", "state_dict")):
        assert served(file)["files"] == {"0.safetensors": {"key": key, "tensors": 9}}
        assert_same("0.safetensors", network.state_dict())


def test_one_key_may_be_asked_for(network, here):
    torch.save({"a": network.state_dict(), "opt": {"b": torch.ones(2)}}, "all.pt")
    assert served("all.pt", only="opt")["files"] == {"0.safetensors": {"key": "opt", "tensors": 1}}
    assert served("all.pt", only="opt")["aside"] == ["a"]
    with pytest.raises(ValueError, match="no tensors under 'ema': 'a', 'opt' are there"):
        served("all.pt", only="ema")


def test_what_shares_memory_or_is_no_block_of_it_is_written_out(here):
    one = torch.arange(6.0).view(2, 3)
    state = {"a": one, "b": one, "c": one.t(), "d": one[:, 1]}
    torch.save(state, "shared.pt")
    served("shared.pt")
    assert_same("0.safetensors", state)


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
        ({"a": {"b.c": torch.zeros(1), "b": {"c": torch.ones(1)}}}, "two of its tensors are called 'b.c'"),
        (deep(80), "nested too deep"),
        ({"step": 3}, "it holds no tensors"),
        ([torch.zeros(1)], "it holds a list, and no dictionary of tensors"),
        ({"x": Calls(os.mkdir, "ran")}, "posix.mkdir whose module posix is blocked"),
    ],
)
def test_what_makes_no_sense_is_refused(value, says, here):
    torch.save(value, "odd.pt")
    with pytest.raises((ValueError, pickle.UnpicklingError), match=says):
        served("odd.pt")
    assert not Path("ran").exists()


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


def test_what_can_be_refused_at_once_is(here):
    Path("full").mkdir()
    Path("full/mine").touch()
    Path("model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for checkpoint, out, says in [
        ("nowhere.pt", "out", "nowhere.pt does not exist"),
        ("model.safetensors", "out", "is a safetensors file already"),
        ("model.safetensors", "full", "full is there already"),
        ("full", "out", "is a folder and no regular file"),
    ]:
        with pytest.raises(UserError, match=says):
            to.convert(checkpoint, out)


CHILD = """
import os, socket, subprocess, sys
from trainedon.targets.checkpoints import unpickled
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
def test_the_process_has_neither_network_nor_programs_nor_much_memory(here):
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.split()[1:] == ["True", "True", "True", "True", "False"] and second == "bounded"
    assert not Path("ran").exists()
