"""Which folders are read, how, and what is put on record."""

import json
import shutil

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler
from safetensors.torch import load_file, save_file

from trainedon.targets import load_target

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def test_a_pipeline_folder(saved, unet):
    folder = saved()
    target = load_target(str(folder))
    assert target.identity.name == "model" and target.identity.family == "pixel UNet2DModel"
    assert target.identity.parameters == sum(p.numel() for p in unet().parameters())
    assert len(target.identity.digest) == 64 and target.identity.notes == ()
    assert target.classes is None and not any(p.requires_grad for p in target.network.parameters())
    assert not target.network.training
    for name, value in unet().state_dict().items():
        assert torch.equal(target.network.state_dict()[name], value)


def test_a_ddim_pipeline(tmp_path, unet, noisy, saved):
    DDIMPipeline(unet=unet(), scheduler=DDIMScheduler()).save_pretrained(tmp_path / "ddim")
    ddim = load_target(tmp_path / "ddim")
    assert torch.equal(ddim.denoise(noisy, 5).clean, load_target(saved()).denoise(noisy, 5).clean)


def test_a_relative_path_and_a_trailing_slash(saved, monkeypatch):
    folder = saved()
    monkeypatch.chdir(folder)
    assert load_target(".").identity.name == "model"
    assert load_target(f"{folder}/").identity == load_target(".").identity


def test_a_bare_network_states_what_was_assumed(saved, noisy):
    folder = saved()
    target, bare = load_target(folder), load_target(shutil.copytree(folder / "unet", folder.with_name("bare")))
    (note,) = bare.identity.notes
    assert "linear" in note and "1000" in note and "epsilon" in note
    assert torch.equal(bare.path.alphas, target.path.alphas) and bare.prediction == "epsilon"
    assert torch.equal(bare.denoise(noisy, 5).clean, target.denoise(noisy, 5).clean)


def test_half_precision_weights_are_computed_in_single(saved, noisy):
    folder = saved(name="single")
    half = shutil.copytree(folder, folder.with_name("half"))
    state = {key: value.half() for key, value in load_file(folder / WEIGHTS).items()}
    (half / WEIGHTS).unlink()
    save_file(state, half / "unet/diffusion_pytorch_model.fp16.safetensors")
    target = load_target(half)
    clean = target.denoise(noisy, 5).clean
    assert {p.dtype for p in target.network.parameters()} == {torch.float32} and clean.dtype == torch.float32
    torch.testing.assert_close(clean, load_target(folder).denoise(noisy, 5).clean, rtol=0.01, atol=0.01)
    shutil.copy(folder / WEIGHTS, half / WEIGHTS)  # both are there: the full precision is what counts
    assert torch.equal(load_target(half).denoise(noisy, 5).clean, load_target(folder).denoise(noisy, 5).clean)


def test_sharded_weights(saved, noisy):
    folder, sharded = saved(), saved(name="sharded", max_shard_size="20KB")
    shards = sorted((sharded / "unet").glob("*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(load_target(sharded).denoise(noisy, 5).clean, load_target(folder).denoise(noisy, 5).clean)


def test_the_digest_follows_whatever_decides_the_answers(saved):
    digests = {
        "plain": load_target(saved(name="a")).identity.digest,
        "weights": load_target(saved(name="b", seed=1)).identity.digest,
        "schedule": load_target(saved(name="c", scheduler={"beta_end": 0.03})).identity.digest,
        "prediction": load_target(saved(name="d", scheduler={"prediction_type": "sample"})).identity.digest,
        "shards": load_target(saved(name="e", max_shard_size="20KB")).identity.digest,
    }
    assert len(set(digests.values())) == len(digests)
    again = saved(name="somewhere else")
    (again / "README.md").write_text("not a part of the model")
    assert load_target(again).identity.digest == digests["plain"]
    weights = load_file(again / WEIGHTS)
    weights["conv_out.bias"][0] += 1e-3
    save_file(weights, again / WEIGHTS)
    assert load_target(again).identity.digest != digests["plain"]


def test_the_model_that_ships_with_the_package_has_a_name(saved, monkeypatch):
    target = load_target("embedded")
    assert (target.identity.name, target.shape) == ("embedded", (3, 32, 32))
    folder = saved(name="embedded")
    monkeypatch.chdir(folder.parent)
    assert load_target("embedded").identity.digest == load_target(folder).identity.digest, "a folder goes before it"


def test_a_pipeline_without_a_scheduler_is_a_bare_network(saved):
    folder = saved()
    index = json.loads((folder / "model_index.json").read_text())
    del index["scheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (note,) = load_target(folder).identity.notes
    assert "../scheduler/scheduler_config.json beside the network was read (DDPMScheduler)" in note
    shutil.rmtree(folder / "scheduler")
    (note,) = load_target(folder).identity.notes
    assert "linear betas" in note


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler"])
def test_samplers_of_the_same_noise_path(saved, name):
    import diffusers

    folder = saved()
    getattr(diffusers, name)(beta_end=0.03).save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", name]}))
    target = load_target(folder)
    expected = load_target(saved(name="ddpm", scheduler={"beta_end": 0.03}))
    torch.testing.assert_close(target.path.alphas, expected.path.alphas)


def test_a_target_is_shown_in_a_line(saved):
    shown = repr(load_target(saved()))
    assert shown.startswith("PixelUNet(") and "shape=(3, 8, 8), prediction=epsilon" in shown and len(shown) < 200
