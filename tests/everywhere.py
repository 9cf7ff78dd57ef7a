"""Fixtures that every test may use."""

import gc
import hashlib
import itertools
import os
import pickle
import shutil
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import chromium
import numpy as np
import pytest
import tiny
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image
from safetensors.torch import load_file, save_file

from trainedon.compare import efficientnet
from trainedon.evidence.protocol import blind, cdi, listed, sides
from trainedon.evidence.statistics import pvalues
from trainedon.evidence.statistics.two_sample import View
from trainedon.pictures import Batch, scan
from trainedon.pictures.places.stores import _file_system
from trainedon.targets import Identity, NoisePath
from trainedon.targets.networks.unet import PixelUNet

os.environ["TRAINEDON_STATE"] = "off"  # no test touches a user's record of runs, and fixtures keep none
_numbers = itertools.count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """A test that fails in a browser says what the page showed."""
    if call.excinfo is not None:
        for text in chromium.shown():
            call.excinfo.value.add_note(text)
    return (yield)


@pytest.fixture(autouse=True)
def _own_record(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each test has a record of runs of its own, empty at first; no folder is made until a run is written into it."""
    monkeypatch.setenv("TRAINEDON_STATE", str(tmp_path_factory.getbasetemp() / "state" / str(next(_numbers))))


@pytest.fixture(scope="module", autouse=True)
def _settled() -> Iterator[None]:
    """What a file of tests leaves (libraries that it was the first to import) stays, and no garbage collection walks
    through it again: Target asks for a full one whenever memory runs short, and each took half a second at the end."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """A run waits ten times and more, milliseconds each, until a file is on the disk; no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def answers_of_efficientnet() -> Iterator[None]:
    """What EfficientNet answers to a picture is kept: nearly every run looks at the same 48."""
    kept: OrderedDict[bytes, torch.Tensor] = OrderedDict()
    ask = efficientnet.in_chunks

    def asked(network: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
        keys = [hashlib.sha256(repr(row.shape).encode() + row.numpy().tobytes()).digest() for row in pixels]
        new = [place for place, key in enumerate(keys) if key not in kept]
        fresh = dict(zip(new, ask(network, pixels[new]).unbind())) if new else {}
        answers = torch.stack([fresh[place] if place in fresh else kept[key] for place, key in enumerate(keys)])
        kept.update((keys[place], answer.clone()) for place, answer in fresh.items())
        while len(kept) > 400:  # of 250 kB each
            kept.popitem(last=False)
        return answers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet, "in_chunks", asked)
        yield


@pytest.fixture(scope="session", autouse=True)
def answers_of_permutations() -> Iterator[None]:
    """What a permutation test answers to the same numbers is kept: runs on the same pictures, and what is computed
    again from their scores, ask it the same again and again."""
    kept: OrderedDict[bytes, object] = OrderedDict()

    def keeping(function: Callable[..., object]) -> Callable[..., object]:
        def ask(*given: object, **named: object) -> object:
            key = hashlib.sha256(pickle.dumps((function.__name__, _plain(given), _plain(named)))).digest()
            if key not in kept:
                kept[key] = function(*given, **named)
            while len(kept) > 4000:
                kept.popitem(last=False)
            return kept[key]

        return ask

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((sides, "permutation_test"), (pvalues, "permutation_test"), (listed, "permutation_test")):
            patch.setattr(module, name, keeping(getattr(module, name)))
        for module in (blind, cdi):
            patch.setattr(module, "classifier_two_sample_test", keeping(module.classifier_two_sample_test))
        yield


def _plain(given: object) -> object:
    """As something that pickle writes: a function that another one made is its name and what it was made with."""
    if isinstance(given, View):
        made_with = [cell.cell_contents for cell in given.classifier.__closure__ or ()]
        return given.x, given.classifier.__qualname__, made_with
    if isinstance(given, dict):
        return {name: _plain(value) for name, value in given.items()}
    return [_plain(value) for value in given] if isinstance(given, (list, tuple)) else given


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real faces and trained targets that lies beside a development checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "targets").is_dir():
        pytest.skip("needs the real pictures and targets in ../shared, which are not part of this project")
    return folder


def _tiny_unet(attention: bool = True, **changes: object) -> UNet2DModel:
    plain = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "add_attention": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.unconditional(**({"sample_size": 16} | ({} if attention else plain) | changes))


def _tiny_target(attention: bool = True, channels: int = 3) -> PixelUNet:
    unet = _tiny_unet(attention, in_channels=channels, out_channels=channels)
    identity = Identity("tiny", "0" * 64, "pixel UNet2DModel", 0)
    return PixelUNet(identity, (channels, 16, 16), NoisePath.from_scheduler({}), "epsilon", network=unet)


@pytest.fixture(scope="session")
def target() -> PixelUNet:
    """A tiny real target, 16 x 16 RGB, with self-attention."""
    return _tiny_target()


@pytest.fixture(scope="session")
def target_without_attention() -> PixelUNet:
    return _tiny_target(attention=False)


@pytest.fixture(scope="session")
def grey_target() -> PixelUNet:
    return _tiny_target(channels=1)


@pytest.fixture(scope="session")
def batch_of():
    """batch_of(n): smooth random pictures, every one different, none flat."""

    def make(n: int, size: int = 16, channels: int = 3, seed: int = 0) -> Batch:
        coarse = np.random.default_rng(seed).uniform(-1, 1, (n, channels, 5, 5)).astype(np.float32)
        pixels = torch.nn.functional.interpolate(torch.from_numpy(coarse), (size, size), mode="bicubic").clamp(-1, 1)
        return Batch(pixels, tuple(hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(n)))

    return make


@pytest.fixture(scope="session")
def faces(shared: Path):
    """faces(n, size): n real faces of 32 or 64 pixels, as a batch."""

    def load(n: int, size: int) -> Batch:
        pictures = [entry.read() for entry in scan(shared / "data" / f"celeba{size}" / "extra", n)]
        return Batch.from_pictures(pictures, (size, size), 3)

    return load


TARGETS: dict[str, tuple[dict, dict]] = {
    "epsilon": ({}, {}),
    "v, zero terminal SNR": (
        {},
        {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True},
    ),
    "sample, cosine betas": ({}, {"prediction_type": "sample", "beta_schedule": "squaredcos_cap_v2"}),
    "class-conditional": ({"num_class_embeds": 3}, {}),
    "grey": ({"in_channels": 1, "out_channels": 1}, {}),
    "learned variance": ({"out_channels": 6}, {"variance_type": "learned_range"}),
}


@pytest.fixture(scope="session")
def target_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One diffusers folder of each kind of target, made through the real classes with weights drawn at random."""
    root = tmp_path_factory.mktemp("targets")
    folders = {}
    for number, (name, (unet, scheduler)) in enumerate(TARGETS.items()):
        folders[name] = root / str(number)
        DDPMPipeline(unet=_tiny_unet(**unet), scheduler=DDPMScheduler(**scheduler)).save_pretrained(folders[name])
    return folders | {name: tiny.save(name, root / name) for name in tiny.FAMILIES}


@pytest.fixture(scope="session")
def other(target_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the target folders with other weights, which can serve as a control model for it."""
    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(target_folders["epsilon"], folder)
    weights = next((folder / "unet").glob("*.safetensors"))
    save_file({name: value + 0.01 for name, value in load_file(weights).items()}, weights)
    return folder


@pytest.fixture(scope="session")
def toy_pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders `members` (24) and `unseen` (24): 16 x 16 PNGs of coloured blobs, all alike in kind."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    for name in ("members", "unseen"):
        (root / name).mkdir()
        for number in range(24):
            picture = np.broadcast_to(rng.uniform(150, 255, 3), (16, 16, 3)).copy()
            for _ in range(4):
                (cy, cx), radius = rng.uniform(0, 16, 2), rng.uniform(2, 5)
                picture[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.uniform(0, 255, 3)
            Image.fromarray(picture.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return {name: root / name for name in ("members", "unseen")}


@pytest.fixture(scope="session")
def overtrained() -> Path:
    """A small model that knows the toy members by heart. `training/test_overtrained.py` trains it anew."""
    return Path(__file__).parent / "data" / "overtrained"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Started once a file. (Over a session it would forbid every other test a loop of asyncio in its process.)"""
    with chromium.started() as running:
        yield running


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What other packages register, or fail to, in a test is forgotten after it."""
    from trainedon.attacks import Attack
    from trainedon.compare import Similarity
    from trainedon.degrade import Degradation, Roi
    from trainedon.restore import Restorer

    for base in (Attack, Roi, Degradation, Restorer, Similarity):
        monkeypatch.setattr(base.noun, "makers", dict(base.noun.makers))
        monkeypatch.setattr(base.noun, "left_out", {})
        monkeypatch.setattr(base.noun, "tried", set())
    yield
    for module in ("sample_attack", "broken_parts", "frame"):
        sys.modules.pop(module, None)


@pytest.fixture
def s3(monkeypatch):
    """An object store on this machine's own address, with an empty bucket `bucket`."""
    for package in ("moto", "s3fs", "flask"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'moto[server]' s3fs")
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    port = server._server.server_address[1]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    _file_system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("bucket")
    yield files
    files.rm("bucket", recursive=True)  # all servers of a process share what they hold
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
