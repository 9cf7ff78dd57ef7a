"""Folders that are no model, damaged, unsupported or wicked: one line that says what to do, and nothing is run."""

import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.load import model_digest

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


@hostile("does not exist: give a diffusers folder, a hub id")
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
    edit(model / INDEX, extra=["wicked", "Part"])


@hostile("_class_name is ['wicked', 'Pipeline'], no name of a class")
def remote_code_pipeline(model):
    (model / "wicked.py").write_text("import os; os.mkdir('exploded')")
    edit(model / INDEX, _class_name=["wicked", "Pipeline"])


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


@hostile("scheduler None is not supported")
def scheduler_entry_of_nothing(model):
    edit(model / INDEX, scheduler=None)


@hostile("scheduler ['DDPMScheduler'] is not supported")
def scheduler_class_that_is_a_list(model):
    (model / INDEX).unlink()
    edit(model / SCHEDULER, _class_name=["DDPMScheduler"])
    (model / SCHEDULER).rename(model / "unet/scheduler_config.json")
    for path in (model / "unet").iterdir():
        path.rename(model / path.name)


@hostile("vae is no library and class")
def part_of_a_latent_pipeline_too_short(model):
    edit(model / INDEX, _class_name="StableDiffusionPipeline", vae=["diffusers"])


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


@hostile("sample_size = [0, 8] is refused")
def size_of_nothing(model):
    edit(model / CONFIG, sample_size=[0, 8])


@hostile("class_embed_type 'timestep' is not supported")
def other_conditioning(model):
    edit(model / CONFIG, class_embed_type="timestep")


@hostile("does not describe a UNet2DModel")
def unknown_blocks(model):
    edit(model / CONFIG, down_block_types=["os.system", "DownBlock2D"])


@hostile("block_out_channels = ['wide', 'wider'] is refused")
def widths_of_words(model):
    edit(model / CONFIG, block_out_channels=["wide", "wider"])


@hostile("block_out_channels = [] is refused")
def no_widths(model):
    edit(model / CONFIG, block_out_channels=[], down_block_types=[], up_block_types=[])


@hostile("norm_num_groups = 0 is refused")
def no_groups(model):
    edit(model / CONFIG, norm_num_groups=0)


@hostile("describes a network that is larger than its weights")
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


SHARDS = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
SHARDED = "unet/diffusion_pytorch_model.safetensors.index.json"


def shard(model):
    """The weights in two shards, with an index."""
    state = load_file(model / WEIGHTS)
    (model / WEIGHTS).unlink()
    where = {name: SHARDS[number % 2] for number, name in enumerate(sorted(state))}
    for one in SHARDS:
        save_file({name: state[name] for name in where if where[name] == one}, model / "unet" / one)
    (model / SHARDED).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return state, where


@hostile("shards of weights without their index")
def the_index_of_shards_is_missing(model):
    shard(model)
    (model / SHARDED).unlink()


@hostile("is missing, which diffusion_pytorch_model.safetensors.index.json names")
def a_shard_is_missing(model):
    shard(model)
    (model / "unet" / SHARDS[1]).unlink()


@hostile("names '../../elsewhere.safetensors': only safetensors in the same folder")
def shards_outside_the_folder(model):
    shutil.move(model / WEIGHTS, model.parent / "elsewhere.safetensors")
    names = load_file(model.parent / "elsewhere.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../../elsewhere.safetensors")}
    (model / SHARDED).write_text(json.dumps(index))


@hostile("names 'weights.bin'")
def a_shard_that_is_a_pickle(model):
    _, where = shard(model)
    (model / "unet/weights.bin").write_bytes(pickle.dumps(Bomb()))
    (model / SHARDED).write_text(json.dumps({"metadata": {}, "weight_map": where | {"conv_in.bias": "weights.bin"}}))


@hostile("conv_in.bias lies in two shards")
def a_tensor_in_two_shards(model):
    state, where = shard(model)
    other = next(one for one in SHARDS if one != where["conv_in.bias"])
    there = load_file(model / "unet" / other) | {"conv_in.bias": state["conv_in.bias"] + 1}
    save_file(there, model / "unet" / other)


@hostile("the index of the shards does not fit them (first: conv_in.bias)")
def an_index_of_other_shards(model):
    _, where = shard(model)
    other = next(one for one in SHARDS if one != where["conv_in.bias"])
    (model / SHARDED).write_text(json.dumps({"metadata": {}, "weight_map": where | {"conv_in.bias": other}}))


@hostile("names no shards")
def an_index_of_nothing(model):
    shard(model)
    (model / SHARDED).write_text(json.dumps({"metadata": {}, "weight_map": ["conv_in.bias"]}))


@hostile("in several variants (ema, non_ema)")
def variants_without_a_telling(model):
    for variant in ("ema", "non_ema"):
        shutil.copy(model / WEIGHTS, model / f"unet/diffusion_pytorch_model.{variant}.safetensors")
    (model / WEIGHTS).unlink()


@hostile("shift_of_time = 0.3 is not known to UNet2DModel")
def unknown_network_key(model):
    edit(model / CONFIG, shift_of_time=0.3)


@hostile("beta_curve = 'sigmoid' is not known to DDPMScheduler")
def unknown_scheduler_key(model):
    edit(model / SCHEDULER, beta_curve="sigmoid")


@hostile("guidance = 7.5 is not known to DDPMPipeline")
def unknown_pipeline_key(model):
    edit(model / INDEX, guidance=7.5)


@hostile("rescale_betas_zero_snr = True is not known to PNDMScheduler")
def a_schedule_that_the_class_passes_over(model):
    edit(model / INDEX, scheduler=["diffusers", "PNDMScheduler"])
    edit(model / SCHEDULER, rescale_betas_zero_snr=True)


@hostile("prediction_type = 'v_prediction' is not known to RePaintScheduler")
def a_prediction_that_the_class_passes_over(model):
    edit(model / INDEX, scheduler=["diffusers", "RePaintScheduler"])
    edit(model / SCHEDULER, prediction_type="v_prediction")


@hostile("use_flow_sigmas = True is not supported")
def flow_matching_by_another_sampler(model):
    edit(model / INDEX, scheduler=["diffusers", "UniPCMultistepScheduler"])
    edit(model / SCHEDULER, use_flow_sigmas=True)


@hostile("timestep_type = 'continuous' is not supported")
def times_of_another_kind(model):
    edit(model / INDEX, scheduler=["diffusers", "EulerDiscreteScheduler"])
    edit(model / SCHEDULER, timestep_type="continuous")


@hostile("predict_epsilon = False is not known")
def the_prediction_in_an_outdated_key(model):
    edit(model / SCHEDULER, predict_epsilon=False)


@hostile("prediction type None is not supported")
def no_prediction(model):
    edit(model / SCHEDULER, prediction_type=None)


@hostile("checkpoints (checkpoint-20, checkpoint-40): give one of them")
def an_unfinished_training(model):
    for number in (20, 40):
        shutil.copytree(model / "unet", model / f"checkpoint-{number}/unet")
    for path in (model / INDEX, model / "unet/config.json"):
        path.unlink()
    shutil.rmtree(model / "unet")
    shutil.rmtree(model / "scheduler")


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


@hostile("num_train_timesteps = -1 is refused")
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


@pytest.mark.parametrize(
    "changes", [{"scheduler": None}, {"scheduler": ["diffusers"]}, {"_class_name": ["x"]}], ids=str
)
def test_a_digest_alone_is_refused_in_one_line(saved, changes):
    model = saved()
    edit(model / INDEX, **changes)
    with pytest.raises(UserError):
        model_digest(model)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("part", ["text_encoder", "unet"])
def test_an_adapter_in_a_parts_folder_is_refused(tmp_path, part, name):
    model = tiny.save("stable diffusion", tmp_path / "model")
    (model / part / name).write_text("{}")
    with pytest.raises(UserError, match=rf"{part} holds an adapter \({name}\) too: .* --adapter"):
        load_target(model)


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
