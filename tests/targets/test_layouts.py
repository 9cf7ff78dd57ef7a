"""Where the parts of a model lie: what diffusers opens, opens, and answers as it does there."""

import json
import os
import shutil
from pathlib import Path

import diffusers
import pytest
import tiny
import torch
from diffusers import AutoencoderKL, DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file

from trainedon.condition import Captions, Classes
from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.load import model_digest
from trainedon.targets.reading.hub import wanted

WEIGHTS = "diffusion_pytorch_model.safetensors"
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
COSINE = {"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"}
CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "honest"


def answers_as(network, target, x):
    """Whether a target's network is this one, by its answer."""
    with torch.no_grad():
        expected = network(x, 7).sample
    torch.testing.assert_close(target.predict(x, torch.full((len(x),), 7), None), expected, rtol=1e-4, atol=1e-5)


def to_the_top(folder):
    """A pipeline's network and scheduler moved beside its model_index.json."""
    for part in ("unet", "scheduler"):
        for path in (folder / part).iterdir():
            path.rename(folder / path.name)
        (folder / part).rmdir()
    return folder


def with_old_names(path):
    """A file's weights with the attention names of 2022."""
    tensors = load_file(path)
    renamed = {}
    for key, value in tensors.items():
        for new, old in OLD.items():
            key = key.replace(f".{new}.", f".{old}.")
        renamed[key] = value
    assert renamed.keys() != tensors.keys()
    save_file(renamed, path, metadata={"format": "pt"})


def test_everything_at_the_top(saved, noisy):
    folder = to_the_top(saved(scheduler=COSINE))
    target, theirs = load_target(folder), DDPMPipeline.from_pretrained(folder)
    answers_as(theirs.unet, target, noisy)
    assert target.prediction == "v_prediction" and target.identity.notes == ()
    torch.testing.assert_close(target.path.alphas**2, theirs.scheduler.alphas_cumprod, rtol=0, atol=1e-6)
    digest = target.identity.digest
    assert model_digest(folder) == digest
    config = folder / "scheduler_config.json"
    config.write_text(config.read_text().replace("v_prediction", "epsilon"))
    assert load_target(folder).identity.digest != digest


def test_one_part_of_a_latent_model_at_the_top(tmp_path):
    folder = tiny.save("dit", tmp_path / "dit")
    before = load_target(folder)
    for path in (folder / "scheduler").iterdir():
        path.rename(folder / path.name)
    (folder / "scheduler").rmdir()
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    classes = Classes(torch.tensor([0, 2]))
    assert torch.equal(load_target(folder).denoise(x, 5, classes).noise, before.denoise(x, 5, classes).noise)
    assert model_digest(folder) == load_target(folder).identity.digest


@pytest.mark.parametrize("sharded", [False, True])
def test_attention_by_its_names_of_2022(saved, noisy, sharded):
    now, then = saved(), saved(name="then")
    with_old_names(then / "unet" / WEIGHTS)
    answers_as(UNet2DModel.from_pretrained(then / "unet"), load_target(then), noisy)
    if sharded:
        state = load_file(then / "unet" / WEIGHTS)
        (then / "unet" / WEIGHTS).rename(then / "unet" / "diffusion_pytorch_model-00001-of-00001.safetensors")
        index = {
            "metadata": {},
            "weight_map": dict.fromkeys(state, "diffusion_pytorch_model-00001-of-00001.safetensors"),
        }
        (then / "unet" / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    assert torch.equal(load_target(then).denoise(noisy, 5).clean, load_target(now).denoise(noisy, 5).clean)


def test_old_names_are_read_strictly(saved):
    folder = saved()
    with_old_names(folder / "unet" / WEIGHTS)
    state = load_file(folder / "unet" / WEIGHTS)
    key = next(key for key in state if ".query." in key)
    save_file(state | {key.replace(".query.", ".to_q."): state[key].clone()}, folder / "unet" / WEIGHTS)
    with pytest.raises(UserError, match="under its former and its present name"):
        load_target(folder)


def test_an_autoencoder_with_old_names(tmp_path):
    folder = tiny.save("stable diffusion", tmp_path / "sd")
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = load_target(folder).encode(pixels)
    with_old_names(folder / "vae" / WEIGHTS)
    AutoencoderKL.from_pretrained(folder / "vae")
    assert torch.equal(load_target(folder).encode(pixels), expected)
    state = load_file(folder / "vae" / WEIGHTS)
    del state[next(key for key in state if key.endswith(".query.weight"))]
    save_file(state, folder / "vae" / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match="do not fit the configuration"):
        load_target(folder)


@pytest.mark.parametrize("where", [".", "..", "../scheduler", "scheduler"])
def test_a_scheduler_near_a_bare_network_is_read(saved, where):
    folder = saved(scheduler=COSINE)
    (folder / "model_index.json").unlink()
    place = folder / "unet" / where / "scheduler_config.json"
    place.parent.mkdir(exist_ok=True)
    if place.parent.resolve() != folder / "scheduler":
        (folder / "scheduler/scheduler_config.json").rename(place)
        (folder / "scheduler").rmdir() if where != "scheduler" else None
    target = load_target(folder / "unet")
    expected = DDPMScheduler(**COSINE).alphas_cumprod
    assert target.prediction == "v_prediction"
    torch.testing.assert_close(target.path.alphas**2, expected, rtol=0, atol=1e-6)
    (note,) = target.identity.notes
    assert "scheduler_config.json beside the network was read (DDPMScheduler)" in note and "assumed" not in note
    place.write_text(place.read_text().replace("squaredcos_cap_v2", "linear"))
    assert load_target(folder / "unet").identity.digest != target.identity.digest
    assert model_digest(folder / "unet") == load_target(folder / "unet").identity.digest


def test_the_nearest_scheduler_counts(saved):
    folder = saved(scheduler=COSINE)
    (folder / "model_index.json").unlink()
    DDPMScheduler(beta_end=0.03).save_pretrained(folder / "unet")
    target = load_target(folder / "unet")
    torch.testing.assert_close(target.path.alphas**2, DDPMScheduler(beta_end=0.03).alphas_cumprod, rtol=0, atol=1e-6)
    assert target.prediction == "epsilon" and "scheduler_config.json" in target.identity.notes[0]


def test_the_scheduler_of_a_strangers_pipeline_is_not_taken(saved, tmp_path):
    zoo = tiny.save("stable diffusion", tmp_path / "zoo")
    lone = shutil.copytree(saved() / "unet", zoo / "unet_pixel")
    (note,) = load_target(lone).identity.notes
    assert note.startswith("no scheduler beside the network: ") and "were assumed" in note
    (zoo / "model_index.json").unlink()
    assert "../scheduler/scheduler_config.json beside the network was read" in load_target(lone).identity.notes[0]
    (note,) = load_target(lone.rename(zoo / "pixel")).identity.notes
    assert "were assumed" in note


def test_the_scheduler_of_a_checkpoint_is_that_of_a_network_of_any_name(saved):
    folder = saved(scheduler=COSINE)
    average = shutil.copytree(folder / "unet", folder / "checkpoint-5" / "average")
    assert load_target(average).prediction == "v_prediction"
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("UNet2DModel", "UNet2DConditionModel"))
    assert load_target(average).prediction == "epsilon"


def test_a_digest_is_the_same_from_everywhere(trained, monkeypatch):
    shutil.copytree(trained / "unet", trained / "alone")
    DDPMScheduler().save_pretrained(trained / "alone" / "scheduler")
    digests = [load_target(trained / given).identity.digest for given in ("checkpoint-500", "alone")]
    monkeypatch.chdir(trained.parent)
    again = [load_target(Path("model", given)).identity.digest for given in ("checkpoint-500", "alone")]
    assert digests == again == [model_digest(Path("model", given)) for given in ("checkpoint-500", "alone")]


def test_a_scheduler_near_a_network_of_a_class_that_is_not_known(saved):
    folder = saved()
    (folder / "model_index.json").unlink()
    diffusers.ScoreSdeVeScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(UserError, match="ScoreSdeVeScheduler is not supported"):
        load_target(folder / "unet")


@pytest.fixture
def trained(saved, unet):
    """What diffusers' training script leaves: a pipeline, and a checkpoint with the network and its moving average."""
    folder = saved(scheduler=COSINE)
    checkpoint = folder / "checkpoint-500"
    unet(seed=1).save_pretrained(checkpoint / "unet")
    network = unet(seed=2)
    averaged = EMAModel(network.parameters(), model_cls=UNet2DModel, model_config=network.config)
    averaged.save_pretrained(checkpoint / "unet_ema")
    (checkpoint / "optimizer.bin").write_bytes(b"not opened")
    return folder


@pytest.mark.parametrize(
    "given, seed",
    [("checkpoint-500/unet", 1), ("checkpoint-500/unet_ema", 2), ("checkpoint-500", 1), ("unet", 0), ("", 0)],
)
def test_what_a_training_script_leaves(trained, unet, noisy, given, seed):
    target = load_target(trained / given)
    answers_as(unet(seed=seed), target, noisy)
    assert target.prediction == "v_prediction"
    torch.testing.assert_close(target.path.alphas**2, DDPMScheduler(**COSINE).alphas_cumprod, rtol=0, atol=1e-6)
    notes = " ".join(target.identity.notes)
    assert ("lies beside it and is not used" in notes) is (given in ("checkpoint-500", "checkpoint-500/unet"))
    assert ("other parts of its pipeline" in notes) is bool(given)
    if given:
        assert target.identity.name == f"model/{given.removesuffix('/unet') + '/unet' if seed == 1 else given}"
    assert model_digest(trained / given) == target.identity.digest
    assert (target.identity.digest == load_target(trained).identity.digest) is (seed == 0)


def test_an_average_beside_the_network_is_said_aloud(trained):
    shutil.copytree(trained / "checkpoint-500/unet_ema", trained / "unet_ema")
    (note,) = load_target(trained).identity.notes
    assert note == "unet is audited; unet_ema, the moving average of its weights, lies beside it and is not used"
    other = load_target(trained / "unet_ema")
    assert other.identity.digest != load_target(trained).identity.digest
    assert other.identity.name == "model/unet_ema" and len(other.identity.notes) == 1


def test_the_network_of_a_latent_model_is_asked_with_its_pipeline(tmp_path):
    folder = tiny.save("stable diffusion", tmp_path / "sd")
    other = tiny.conditional()
    other.save_pretrained(folder / "checkpoint-10" / "unet")
    plain, ours = load_target(folder), load_target(folder / "checkpoint-10" / "unet")
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([5])
    hidden = plain.pipeline.encode_prompt("a cat", "cpu", 1, False)[0]
    with torch.no_grad():
        expected = other(x, t, encoder_hidden_states=hidden).sample
    torch.testing.assert_close(ours.predict(x, t, Captions(("a cat",))), expected, rtol=1e-4, atol=1e-5)
    assert ours.identity.digest != plain.identity.digest and torch.equal(ours.path.alphas, plain.path.alphas)
    same = load_target(folder / "unet")
    assert same.identity.digest == plain.identity.digest and same.identity.name == "sd/unet"


def test_what_a_checkpoint_holds_beside_the_network_comes_with_it(tmp_path):
    folder, other = (tiny.save("stable diffusion", tmp_path / name, seed) for seed, name in enumerate(("sd", "other")))
    checkpoint = folder / "checkpoint-10"
    for part in ("unet", "text_encoder", "safety_checker"):
        if (other / part).is_dir():
            shutil.copytree(other / part, checkpoint / part)
    target, plain, whole = load_target(checkpoint), load_target(folder), load_target(other)
    told = [one.pipeline.text_encoder.state_dict() for one in (target, whole)]
    assert all(torch.equal(value, told[1][key]) for key, value in told[0].items())
    decoders = [one.pipeline.vae.state_dict()["decoder.conv_in.weight"] for one in (target, plain, whole)]
    assert torch.equal(decoders[0], decoders[1]) and not torch.equal(decoders[0], decoders[2])
    assert target.identity.name == "sd/checkpoint-10/unet"
    assert "asked with text_encoder beside it and the other parts of its pipeline" in target.identity.notes[0]
    assert model_digest(checkpoint) == target.identity.digest
    shutil.rmtree(checkpoint / "text_encoder")
    assert load_target(checkpoint).identity.digest != target.identity.digest


VARIANTS = [
    {"variant": "fp16"},
    {"variant": "non_ema"},
    {"max_shard_size": "20KB"},
    {"max_shard_size": "20KB", "variant": "bf16"},
]


@pytest.mark.parametrize("how", VARIANTS, ids=str)
def test_variants_and_shards(saved, noisy, how):
    plain, other = saved(), saved(name="other", **how)
    assert torch.equal(load_target(other).denoise(noisy, 5).clean, load_target(plain).denoise(noisy, 5).clean)
    shutil.copy(saved(name="third", seed=3) / "unet" / WEIGHTS, other / "unet")
    theirs = UNet2DModel.from_pretrained(other / "unet")  # with several there, as diffusers chooses without being told
    answers_as(theirs, load_target(other), noisy)


@pytest.mark.parametrize("how", VARIANTS, ids=str)
def test_variants_and_shards_of_text_encoders(tmp_path, how):
    folder = tiny.save("stable diffusion", tmp_path / "sd")
    own = load_target(folder).pipeline.text_encoder
    (folder / "text_encoder" / "model.safetensors").unlink()
    own.save_pretrained(folder / "text_encoder", **how)
    (folder / "text_encoder" / "model.safetensors").unlink(missing_ok=True) if "variant" in how else None
    loaded = load_target(folder).pipeline.text_encoder.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in own.state_dict().items())
    assert model_digest(folder) == load_target(folder).identity.digest


def test_shards_that_the_index_does_not_name_are_neither_opened_nor_hashed(saved):
    folder = saved(max_shard_size="20KB")
    before = load_target(folder).identity.digest
    (folder / "unet/diffusion_pytorch_model-00001-of-00099.safetensors").write_bytes(b"left over")
    assert load_target(folder).identity.digest == before


@pytest.fixture
def hub_cache(saved):
    """A model as the hub's cache keeps it: `hub_cache(*commits, main=...)`."""

    def make(*commits, main=None):
        root = saved().with_name("models--owner--a-model")
        for number, commit in enumerate(commits):
            source = saved(name=commit, seed=number)
            for path in filter(Path.is_file, source.rglob("*")):
                blob = root / "blobs" / f"{commit}-{path.name}"
                link = root / "snapshots" / commit / path.relative_to(source)
                blob.parent.mkdir(parents=True, exist_ok=True)
                link.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, blob)
                link.symlink_to(os.path.relpath(blob, link.parent))
        if main is not None:
            (root / "refs").mkdir()
            (root / "refs" / "main").write_text(main)
        return root

    return make


def test_a_repository_in_the_hubs_cache(hub_cache, unet, noisy):
    root = hub_cache("aaa", "bbb", main="bbb")
    target = load_target(root)
    answers_as(unet(seed=1), target, noisy)
    assert target.identity.name == "owner/a-model@bbb"
    assert target.identity.digest == load_target(root / "snapshots/bbb").identity.digest == model_digest(root)


def test_a_repository_with_one_snapshot_needs_no_reference(hub_cache, unet, noisy):
    answers_as(unet(seed=0), load_target(hub_cache("aaa")), noisy)


@pytest.mark.parametrize("commits, main", [(("aaa", "bbb"), None), (("aaa",), "../../elsewhere"), (("aaa",), "ccc")])
def test_a_repository_without_a_telling_which_snapshot(hub_cache, commits, main):
    with pytest.raises(UserError, match=r"names none of its snapshots: give one of them \(aaa"):
        load_target(hub_cache(*commits, main=main))


def test_what_is_fetched_of_the_hub():
    root = ["README.md", "config.json", "diffusion_pytorch_model.bin", WEIGHTS, "model_index.json"]
    root += ["scheduler_config.json", "sample.png", "model.ckpt", "ema.safetensors"]
    assert wanted(root) == sorted(["config.json", WEIGHTS, "model_index.json", "scheduler_config.json"])
    part = [f"unet/{name}" for name in ("config.json", WEIGHTS, "diffusion_pytorch_model.bin")]
    others = [f"unet/diffusion_pytorch_model.{name}.safetensors" for name in ("fp16", "non_ema")]
    text = [f"text_encoder/{name}" for name in ("config.json", "model.fp16.safetensors", "pytorch_model.bin")]
    shards = [f"text_encoder_2/model{v}-0000{n}-of-00002.safetensors" for v in ("", ".fp16") for n in (1, 2)]
    index = [f"text_encoder_2/model.safetensors.index{v}.json" for v in ("", ".fp16")]
    words = ["tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/spiece.model"]
    aside = ["safety_checker/model.safetensors", "safety_checker/config.json", "unet/flax_model.msgpack"]
    single = ["v1-5-pruned.safetensors", "v1-5-pruned-emaonly.ckpt", "deep/er/config.json", "LICENSE.txt"]
    found = wanted(["model_index.json", *part, *others, *text, *shards, *index, *words, *aside, *single])
    assert found == sorted(["model_index.json", *part[:2], *text[:2], *shards[:2], *index, *words])


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not at hand")
@pytest.mark.parametrize(
    "case, prediction, alpha_bar",
    [
        ("31-ddpm-all-at-root", "epsilon", 0.078),
        ("32-ddpm-old-attention-names", "epsilon", 0.078),
        ("53-flat-no-index", "v_prediction", 0.492),
    ],
)
def test_cases_of_what_people_have(case, prediction, alpha_bar):
    target = load_target(CASES / case)
    network = CASES / case / "unet"
    x = torch.randn(1, *target.shape)
    answers_as(UNet2DModel.from_pretrained(network if network.is_dir() else CASES / case), target, x)
    assert target.prediction == prediction
    assert target.path.alphas[500].item() ** 2 == pytest.approx(alpha_bar, abs=2e-3)
