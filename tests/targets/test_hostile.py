"""Folders that are no model, damaged, unsupported or wicked: one line that says what to do, and nothing is run."""

import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainedon.errors import UserError
from trainedon.targets import load_target

INDEX, CONFIG, SCHEDULER = "model_index.json", "unet/config.json", "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
HOSTILE = {}


def hostile(message: str):
    """Registers a function that spoils a good model folder, with what the refusal must say."""

    def register(spoil):
        HOSTILE[spoil.__name__] = (spoil, message)
        return spoil

    return register


def edit(path: Path, **changes: object) -> None:
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: part for key, part in value.items() if part is not ...}))


@hostile("does not exist: give a diffusers folder or a hub id")
def no_folder(model):
    shutil.rmtree(model)


@hostile("is a file: give the diffusers folder")
def a_file(model):
    shutil.rmtree(model)
    model.write_text("not a folder")


@hostile("neither model_index.json nor config.json")
def empty_folder(model):
    shutil.rmtree(model)
    model.mkdir()


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@hostile("only pickled weights (diffusion_pytorch_model.bin), which can run code")
def pickled_weights(model):
    (model / WEIGHTS).unlink()
    (model / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


@hostile("the weights do not fit the configuration")
def a_pickle_named_safetensors(model):
    (model / WEIGHTS).write_bytes(pickle.dumps(Bomb()))


@hostile("holds no weights")
def no_weights(model):
    (model / WEIGHTS).unlink()


@hostile("network class 'UNet3DConditionModel' is not supported")
def unknown_network(model):
    edit(model / CONFIG, _class_name="UNet3DConditionModel")


@hostile("network class None is not supported")
def nameless_network(model):
    edit(model / CONFIG, _class_name=...)


@hostile("pipelines of class KandinskyV22Pipeline")
def unknown_family(model):
    parts = {"unet": ["diffusers", "UNet2DConditionModel"], "movq": ["diffusers", "VQModel"]}
    edit(model / INDEX, _class_name="KandinskyV22Pipeline", **parts)


@hostile("vae wicked.AutoencoderKL is not supported")
def latent_pipeline_with_code(model):
    parts = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["wicked", "AutoencoderKL"]}
    edit(model / INDEX, _class_name="StableDiffusionPipeline", **parts)


@hostile("unet: wicked.UNet2DModel")
def remote_code_network(model):
    (model / "unet/wicked.py").write_text("import os; os.mkdir('exploded')")
    edit(model / INDEX, unet=["wicked", "UNet2DModel"])


@hostile("extra: wicked.Part")
def remote_code_part(model):
    (model / "wicked.py").write_text("import os; os.mkdir('exploded')")
    edit(model / INDEX, _class_name=["wicked", "Pipeline"], extra=["wicked", "Part"])


@hostile("scheduler diffusers.ScoreSdeVeScheduler is not supported")
def unknown_scheduler(model):
    edit(model / INDEX, scheduler=["diffusers", "ScoreSdeVeScheduler"])


@hostile("scheduler wicked.DDPMScheduler is not supported")
def remote_code_scheduler(model):
    edit(model / INDEX, scheduler=["wicked", "DDPMScheduler"])


@hostile("is not supported")
def scheduler_entry_too_short(model):
    edit(model / INDEX, scheduler=["diffusers"])


@hostile("is not supported")
def scheduler_entry_of_lists(model):
    edit(model / INDEX, scheduler=["diffusers", ["DDPMScheduler"]])


@hostile("scheduler_config.json is missing")
def missing_scheduler(model):
    shutil.rmtree(model / "scheduler")


@hostile("config.json is missing")
def missing_network(model):
    shutil.rmtree(model / "unet")


@hostile("config.json is missing")
def network_is_a_file(model):
    shutil.rmtree(model / "unet")
    (model / "unet").write_text("")


@hostile("takes 4 channels")
def four_channels(model):
    edit(model / CONFIG, in_channels=4, out_channels=4)


@hostile("takes 3 channels and answers 5")
def five_answers(model):
    edit(model / CONFIG, out_channels=5)


@hostile("takes 1 channels and answers 3")
def grey_with_colour_answers(model):
    edit(model / CONFIG, in_channels=1, out_channels=...)


@hostile("which picture size")
def no_size(model):
    edit(model / CONFIG, sample_size=None)


@hostile("which picture size")
def size_of_nothing(model):
    edit(model / CONFIG, sample_size=[0, 8])


@hostile("class_embed_type 'timestep' is not supported")
def other_conditioning(model):
    edit(model / CONFIG, class_embed_type="timestep")


@hostile("does not describe a UNet2DModel")
def unknown_blocks(model):
    edit(model / CONFIG, down_block_types=["os.system", "DownBlock2D"])


@hostile("does not describe a UNet2DModel")
def widths_of_words(model):
    edit(model / CONFIG, block_out_channels=["wide", "wider"])


@hostile("does not describe a UNet2DModel")
def no_widths(model):
    edit(model / CONFIG, block_out_channels=[], down_block_types=[], up_block_types=[])


@hostile("does not describe a UNet2DModel")
def no_groups(model):
    edit(model / CONFIG, norm_num_groups=0)


@hostile("the weights do not fit the configuration")
def other_widths(model):
    edit(model / CONFIG, block_out_channels=[8, 32])


@hostile("the weights do not fit the configuration")
def missing_tensor(model):
    state = load_file(model / WEIGHTS)
    del state["conv_in.bias"]
    save_file(state, model / WEIGHTS)


@hostile("the weights do not fit the configuration")
def surplus_tensor(model):
    save_file(load_file(model / WEIGHTS) | {"stranger": torch.zeros(2)}, model / WEIGHTS)


@hostile("the weights do not fit the configuration")
def truncated_weights(model):
    with (model / WEIGHTS).open("r+b") as file:
        file.truncate((model / WEIGHTS).stat().st_size // 2)


@hostile("the weights do not fit the configuration")
def empty_weights(model):
    (model / WEIGHTS).write_bytes(b"")


@hostile("the weights do not fit the configuration")
def a_shard_is_missing(model):
    state = load_file(model / WEIGHTS)
    names = sorted(state)
    (model / WEIGHTS).unlink()
    half = {name: state[name] for name in names[: len(names) // 2]}
    save_file(half, model / "unet/diffusion_pytorch_model-00001-of-00002.safetensors")


@hostile("holds no weights")
def shards_outside_the_folder(model):
    """The index of the shards is not followed, so that it cannot lead anywhere."""
    shutil.move(model / WEIGHTS, model.parent / "elsewhere.safetensors")
    names = load_file(model.parent / "elsewhere.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../../elsewhere.safetensors")}
    (model / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


@hostile("NaN or infinity (first in conv_in.weight)")
def weights_with_nan(model):
    state = load_file(model / WEIGHTS)
    state["conv_in.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, model / WEIGHTS)


@hostile("NaN or infinity (first in conv_out.bias)")
def weights_with_infinity(model):
    state = load_file(model / WEIGHTS)
    state["conv_out.bias"][0] = -float("inf")
    save_file(state, model / WEIGHTS)


@hostile("prediction type 'flow' is not supported: one of epsilon, sample, v_prediction")
def unknown_prediction(model):
    edit(model / SCHEDULER, prediction_type="flow")


@hostile("noise schedule cannot be read")
def unknown_betas(model):
    edit(model / SCHEDULER, beta_schedule="no such")


@hostile("noise schedule cannot be read")
def negative_timesteps(model):
    edit(model / SCHEDULER, num_train_timesteps=-1)


@hostile("is not readable JSON")
def malformed_index(model):
    (model / INDEX).write_text('{"_class_name": "DDPMPipeline",')


@hostile("is not readable JSON")
def malformed_config(model):
    (model / CONFIG).write_text("")


@hostile("is not readable JSON")
def index_that_is_no_text(model):
    (model / INDEX).write_bytes(bytes(range(256)))


@hostile("is not readable JSON")
def index_nested_without_end(model):
    (model / INDEX).write_text("[" * 100_000)


@hostile("is not readable JSON")
def index_with_a_number_without_end(model):
    (model / INDEX).write_text('{"unet": ' + "9" * 10_000 + "}")


@hostile("does not hold a JSON object")
def index_that_is_a_list(model):
    (model / INDEX).write_text("[]")


@hostile("does not hold a JSON object")
def config_that_is_a_list(model):
    (model / CONFIG).write_text('["UNet2DModel"]')


@pytest.mark.parametrize(("spoil", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refused_in_one_line(saved, monkeypatch, tmp_path, spoil, message):
    model = saved()
    spoil(model)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        load_target(model)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    assert not (tmp_path / "exploded").exists(), "the model's code was run"


def test_pickles_beside_safetensors_are_ignored(saved, monkeypatch, tmp_path):
    model = saved()
    (model / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    (model / "unet/unet.py").write_text("import os; os.mkdir('exploded')")
    monkeypatch.chdir(tmp_path)
    assert load_target(model).shape == (3, 8, 8)
    assert not (tmp_path / "exploded").exists()


@pytest.fixture
def unprivileged(saved):
    """A good model folder, and no right to read what is closed: root drops its rights for the test."""
    with tempfile.TemporaryDirectory() as root:
        model = Path(shutil.copytree(saved(), Path(root) / "model"))
        Path(root).chmod(0o755)
        if os.geteuid() == 0:
            os.seteuid(65534)
        yield model
        if os.getuid() == 0:
            os.seteuid(0)
        for path in (model, *model.rglob("*")):
            path.chmod(0o755)


def close(path: Path) -> None:
    user = os.geteuid()
    os.seteuid(os.getuid())
    path.chmod(0)
    os.seteuid(user)


@pytest.mark.parametrize("closed", ["", INDEX, "unet", CONFIG, WEIGHTS, "scheduler", SCHEDULER])
def test_no_permission(unprivileged, closed):
    close(unprivileged / closed)
    with pytest.raises(UserError, match="no permission") as caught:
        load_target(unprivileged)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["no such device", "cuda:99", ""])
def test_a_device_that_is_not_there(saved, device):
    with pytest.raises(UserError, match="cannot be used here"):
        load_target(saved(), device=device)


@pytest.mark.parametrize("model", ["somebody/no-such-model", "somebody/no-such-model@v1", "../nothing", "a/b@"])
def test_a_hub_id_that_cannot_be_fetched(monkeypatch, tmp_path, model):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"could not be fetched from the hub|does not exist") as caught:
        load_target(model)
    assert "\n" not in str(caught.value)
