"""What is hashed is what is loaded: every file is opened once, none beside, and the network is the libraries' own."""

import hashlib
import json
import os
import pickle
import shutil
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.load import model_digest
from trainedon.targets.networks.families import FAMILIES, parts_of
from trainedon.targets.reading.components import weighted
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.tensors import Tensors

BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {name: tiny.save(name, root / str(i)) for i, name in enumerate(tiny.FAMILIES)}


def digest_of(root, files):
    """The formula, by itself: sha256 over sorted names, as seen from `root`, and the files' own digests."""
    digest = hashlib.sha256()
    for path in sorted({path.absolute() for path in files}):
        digest.update(Path(os.path.relpath(path, root)).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def held(network):
    """Every parameter and buffer, also those that files do not hold."""
    return dict(network.named_parameters(remove_duplicate=False)) | dict(network.named_buffers(remove_duplicate=False))


def assert_as_the_library_loads_it(folder, kind, dtype):
    with Ledger(folder) as files:
        ours = weighted(files, folder, kind, dtype)
    asked = {"torch_dtype" if kind.__module__.startswith("diffusers") else "dtype": dtype}
    theirs = kind.from_pretrained(folder, local_files_only=True, **asked)
    found, expected = held(ours), held(theirs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and found[name].device == value.device, name
        assert found[name].requires_grad == value.requires_grad, name
        assert found[name].stride() == value.stride(), name
        assert torch.equal(found[name], value), name
    assert not ours.training and type(ours) is type(theirs)


@pytest.mark.filterwarnings("ignore")
@BOTH
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_network_is_the_one_that_the_library_loads(folders, family, dtype):
    index = json.loads((folders[family] / "model_index.json").read_text())
    for part, (library, name) in parts_of(index).items():
        if part != "scheduler" and not part.startswith("tokenizer"):
            assert_as_the_library_loads_it(folders[family] / part, getattr(import_module(library), name), dtype)


def halved(path):
    save_file({name: value.half() for name, value in load_file(path).items()}, path, metadata={"format": "pt"})


@pytest.mark.filterwarnings("ignore")
@BOTH
@pytest.mark.parametrize("part", ["unet", "text_encoder_2"])
def test_halves_are_widened_as_the_library_widens_them(tmp_path, part, dtype):
    folder = tiny.save("sdxl", tmp_path / "model") / part
    halved(*folder.glob("*.safetensors"))
    kind = import_module("diffusers").UNet2DConditionModel
    if part != "unet":
        kind = import_module("transformers").CLIPTextModelWithProjection
    assert_as_the_library_loads_it(folder, kind, dtype)


@pytest.mark.filterwarnings("ignore")
@BOTH
def test_shards_are_joined_as_the_library_joins_them(tmp_path, dtype):
    diffusers, transformers = import_module("diffusers"), import_module("transformers")
    tiny.conditional().save_pretrained(tmp_path / "unet", max_shard_size="20KB")
    tiny.t5().save_pretrained(tmp_path / "words", max_shard_size="1KB")
    assert len([*tmp_path.rglob("*-of-*.safetensors")]) > 4
    assert_as_the_library_loads_it(tmp_path / "unet", diffusers.UNet2DConditionModel, dtype)
    assert_as_the_library_loads_it(tmp_path / "words", transformers.T5EncoderModel, dtype)


@pytest.mark.filterwarnings("ignore")
@BOTH
def test_a_network_with_tables_of_its_own(tmp_path, dtype):
    """Blurs that upsample are no part of the file."""
    down, up = ("DownBlock2D", "KCrossAttnDownBlock2D"), ("KCrossAttnUpBlock2D", "UpBlock2D")
    options = {"down_block_types": down, "up_block_types": up, "mid_block_type": None, "block_out_channels": (32, 64)}
    kind = import_module("diffusers").UNet2DConditionModel
    tiny.conditional(**options, norm_num_groups=32).save_pretrained(tmp_path / "unet")
    assert_as_the_library_loads_it(tmp_path / "unet", kind, dtype)


LISTENING: list[list[str]] = []


@cache
def hear():
    """Once: Python forgets no hook, and would ask each of them of everything that later tests do."""

    def heard(event, given):
        if LISTENING and event == "open" and isinstance(given[0], str | bytes | os.PathLike):
            LISTENING[-1].append(os.fsdecode(given[0]))
        elif LISTENING and event == "pickle.find_class":
            LISTENING[-1].append(f"unpickled {given}")

    sys.addaudithook(heard)


@contextmanager
def listening():
    """The paths that are opened inside the block, and what is unpickled."""
    hear()
    LISTENING.append([])
    try:
        yield LISTENING[-1]
    finally:
        LISTENING.pop()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_each_file_is_opened_once_and_none_but_those_in_the_digest(folders, tmp_path, family):
    load_target(folders[family])  # what the libraries read of themselves
    folder = Path(shutil.copytree(folders[family], tmp_path / "model"))
    for part in filter(Path.is_dir, [*folder.iterdir()]):  # what would be picked up by one library or the other
        for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin", "model.ckpt", "generation_config.json"):
            (part / name).write_bytes(pickle.dumps(print) if "json" not in name else b"{}")
    with listening() as opened:
        target = load_target(folder)
    assert target.identity.digest == model_digest(folder)
    elsewhere = (sys.prefix, sys.base_prefix, tempfile.gettempdir() + "/trainedon-", "/proc/", "/sys/", "/etc/")
    elsewhere += (str(Path(__file__).parents[2] / "src"),)
    model = [path for path in opened if path.startswith(str(folder))]
    beside = [path for path in opened if not path.startswith((str(folder), *elsewhere))]
    assert model and len(model) == len(set(model))
    assert not beside
    index = json.loads((folder / "model_index.json").read_text())
    words = [
        path for part in parts_of(index) if part.startswith(("tok", "sched")) for path in (folder / part).iterdir()
    ]
    names = {"config.json", "model.safetensors", "diffusion_pytorch_model.safetensors"}
    deciding = {folder / "model_index.json", *words, *(path for path in folder.rglob("*") if path.name in names)}
    assert {*map(Path, model)} == deciding
    assert target.identity.digest == digest_of(folder, deciding)


def test_the_digest_is_what_it_was(saved):
    """Runs of earlier versions are known again: sha256 over sorted names and the files' own digests."""
    folder = saved()
    names = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"]
    names += ["unet/diffusion_pytorch_model.safetensors"]
    expected = digest_of(folder, [folder / name for name in names])
    assert load_target(folder).identity.digest == expected == model_digest(folder)


def swap_when_opened(monkeypatch, name, change):
    """`change(path)` right after a file of this name is opened, once."""
    from trainedon.targets.reading import opened

    real, done = opened.open_regular, []

    def spied(path):
        stream = real(path)
        if path.name == name and not done:
            done.append(path)
            change(path)
        return stream

    monkeypatch.setattr(opened, "open_regular", spied)
    return done


def test_a_file_that_is_swapped_after_it_was_opened_is_neither_loaded_nor_hashed(saved, unet, monkeypatch):
    folder, other = saved(), saved(name="other", seed=1)
    weights = "unet/diffusion_pytorch_model.safetensors"
    digest, other_digest = model_digest(folder), model_digest(other)
    assert digest != other_digest
    done = swap_when_opened(monkeypatch, Path(weights).name, (other / weights).replace)
    target = load_target(folder)
    assert done and target.identity.digest == digest
    assert torch.equal(target.network.conv_in.weight, unet(seed=0).conv_in.weight)
    assert model_digest(folder) == other_digest


def test_a_file_that_is_written_to_while_it_is_read_is_an_error(saved, monkeypatch):
    folder = saved()
    old = (folder / "unet/diffusion_pytorch_model.safetensors").stat()

    def change(path):
        with path.open("r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(b"\0\0\0\0")
        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))

    swap_when_opened(monkeypatch, "diffusion_pytorch_model.safetensors", lambda path: None)
    file = Tensors.__init__

    def opened(self, stream, path):
        file(self, stream, path)
        change(path)

    monkeypatch.setattr(Tensors, "__init__", opened)
    with pytest.raises(UserError, match="was changed while it was read: start again"):
        load_target(folder)


HEADERS = {
    "a hole": {"a": ("F32", [1], [4, 8])},
    "an overlap": {"a": ("F32", [2], [0, 8]), "b": ("F32", [1], [4, 8])},
    "past the end": {"a": ("F32", [4], [0, 16])},
    "bytes left over": {"a": ("F32", [1], [0, 4])},
    "another size": {"a": ("F32", [3], [0, 8])},
    "a negative side": {"a": ("F32", [-2], [0, 8])},
    "a side of true": {"a": ("F32", [True, 2], [0, 8])},
    "a huge side": {"a": ("F32", [2**70, 0], [0, 0])},
    "sides without end": {"a": ("F32", [1] * 100 + [2], [0, 8])},
    "an unknown type": {"a": ("object", [2], [0, 8])},
    "backwards": {"a": ("F32", [2], [8, 0])},
    "a type of lists": {"a": (["F32"], [2], [0, 8])},
    "three offsets": {"a": ("F32", [2], [0, 8, 8])},
}


@pytest.mark.parametrize("entries", HEADERS.values(), ids=HEADERS)
def test_headers_that_lie(tmp_path, entries):
    keys = ("dtype", "shape", "data_offsets")
    header = json.dumps({name: dict(zip(keys, entry, strict=True)) for name, entry in entries.items()}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with Ledger(tmp_path) as files, pytest.raises(UserError, match="do not fit the configuration") as caught:
        files.tensors(tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "header", [b"[]", b"{}", b'{"a": 1}', b'{"__metadata__": {"a": 1}}', b"[" * 5000, b"\xff{}", b""]
)
def test_headers_that_are_none(tmp_path, header):
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with Ledger(tmp_path) as files, pytest.raises(UserError, match="do not fit the configuration"):
        files.tensors(tmp_path / "model.safetensors")


def test_tensors_are_those_of_the_library(tmp_path):
    state = {"a": torch.randn(3, 4).bfloat16(), "b": torch.arange(5), "c": torch.tensor(1.5), "d": torch.zeros(0, 2)}
    state |= {
        "e": torch.tensor([True, False]),
        "f": torch.randn(2, 2).to(torch.float8_e4m3fn),
        "g": torch.ones(3).half(),
    }
    save_file(state, tmp_path / "a.safetensors", metadata={"format": "pt"})
    with Ledger(tmp_path) as files:
        file = files.tensors(tmp_path / "a.safetensors")
        for name, value in file.read():
            assert value.dtype == state[name].dtype and value.shape == state[name].shape
            assert torch.equal(value.float(), state[name].float())
        assert torch.equal(file.tensor("g"), state["g"]) and file.metadata == {"format": "pt"}


def test_links_within_a_model_are_followed_and_none_out_of_it(folders, tmp_path):
    folder = Path(shutil.copytree(folders["sdxl"], tmp_path / "model"))
    digest = model_digest(folder)
    shutil.move(folder / "vae", folder / "vae-kept")
    (folder / "vae").symlink_to("vae-kept")
    assert load_target(folder).identity.digest == digest
    shutil.move(folder / "vae-kept", tmp_path / "elsewhere")
    (folder / "vae").unlink()
    (folder / "vae").symlink_to("../elsewhere")
    for ask in (load_target, model_digest):
        with pytest.raises(UserError, match="link that leads out of the model's folder"):
            ask(folder)


def test_a_model_that_is_itself_given_by_a_link_opens(folders, tmp_path):
    (tmp_path / "link").symlink_to(folders["dit"])
    assert load_target(tmp_path / "link").identity.digest == model_digest(folders["dit"])


def test_every_family_names_the_encoders_that_its_captions_go_through():
    for name, family in FAMILIES.items():
        assert bool(family.words) == ("text" in family.adapter.__module__), name
