"""Every family beyond pixels: what the network is asked is what diffusers' own pipeline asks it, without guidance."""

import json
import shutil

import diffusers
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from trainedon.condition import UNCONDITIONAL, Captions, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets import Target, load_target

PIPELINES = {
    "latent, VQ": "LDMPipeline",
    "latent, KL": "LDMPipeline",
    "stable diffusion": "StableDiffusionPipeline",
    "stable diffusion, v": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "pixart": "PixArtAlphaPipeline",
    "dit": "DiTPipeline",
    "stable diffusion 3": "StableDiffusion3Pipeline",
    "flux": "FluxPipeline",
}
TEXT = [name for name in tiny.FAMILIES if not name.startswith(("latent", "dit"))]
SIZED = {"height": 16, "width": 16}
CAPTION = "two blue birds"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {name: tiny.save(name, root / str(i)) for i, name in enumerate(tiny.FAMILIES)}


@pytest.fixture
def target(request, folders):
    return load_target(folders[request.param])


every = pytest.mark.parametrize("target", tiny.FAMILIES, indirect=True)


def asked_by_diffusers(name, folder):
    """What the network was asked at the pipeline's first step, and answered, and the latents that it began with."""
    pipeline = getattr(diffusers, PIPELINES[name]).from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    calls = []
    network = getattr(pipeline, "unet", None) or pipeline.transformer
    network.register_forward_hook(lambda _m, args, given, answer: calls.append((args, given, answer)), with_kwargs=True)
    common = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(3), "output_type": "np"}
    if name in TEXT:
        off = {"clean_caption": False, "use_resolution_binning": False} if name == "pixart" else {}
        pipeline(CAPTION, guidance_scale=1.0, **SIZED, **common, **off)
    elif name == "dit":
        pipeline([1], guidance_scale=1.0, **common)
    else:
        pipeline(**common)
    return calls[0]


def condition_for(target: Target, *labels: int) -> Condition:
    """As many rows as labels, conditioned on these, or on CAPTION, as the model takes it."""
    if target.conditioning == "class":
        return Classes(torch.tensor(labels))
    return Captions((CAPTION,) * len(labels)) if target.conditioning == "caption" else UNCONDITIONAL


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIPELINES)
def test_the_network_is_asked_as_diffusers_asks_it(name, folders, monkeypatch):
    args, given, answer = asked_by_diffusers(name, folders[name])
    x = args[0] if args else given["hidden_states"] if "hidden_states" in given else given["sample"]
    t = given["timestep"] if "timestep" in given else args[1]
    said = answer[0] if isinstance(answer, tuple) else answer.sample
    target = load_target(folders[name])
    if name == "flux":  # it was asked with squares of latents
        x, said = (rows.reshape(1, 4, 4, 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 4, 8, 8) for rows in (x, said))
        t = t * 1000
    if target.prediction == "flow":
        monkeypatch.setattr(target, "network_time", lambda _t, _x: t.expand(len(_x)))
    condition = condition_for(target, 1)
    ours = target.predict(x.float(), torch.as_tensor(t).long().expand(1), condition)
    torch.testing.assert_close(ours, said[:, : target.shape[0]].float(), rtol=1e-4, atol=1e-5)


TOLD = {  # what the network is told beside the caption, or makes of it
    "strength of guidance": {"time_cond_proj_dim": 6},
    "projected words": {"encoder_hid_dim": 8, "cross_attention_dim": 12},
    "words in the time": {"addition_embed_type": "text", "addition_embed_type_num_heads": 2, "encoder_hid_dim": 8},
    "boxes": {"attention_type": "gated"},
    "scaled and shifted by time": {"resnet_time_scale_shift": "scale_shift", "time_embedding_act_fn": "silu"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["StableDiffusionPipeline", "LatentConsistencyModelPipeline"])
@pytest.mark.parametrize("changes", TOLD.values(), ids=TOLD)
def test_what_a_network_is_told_beside_the_caption(changes, kind, tmp_path):
    if kind.startswith("Latent") and "time_cond_proj_dim" not in changes:
        pytest.skip("that pipeline is for networks that are told the strength of guidance")
    tiny.stable_diffusion(changes, kind).save_pretrained(tmp_path)
    edited_scheduler(tmp_path, diffusers.LCMScheduler() if kind.startswith("Latent") else None)
    pipeline = getattr(diffusers, kind).from_pretrained(tmp_path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    calls = []
    pipeline.unet.register_forward_hook(lambda _m, args, given, answer: calls.append((args, answer)), with_kwargs=True)
    steps = 4 if kind.startswith("Latent") else 2
    pipeline(CAPTION, guidance_scale=1.0, num_inference_steps=steps, output_type="latent", **SIZED)
    (x, t), answer = calls[0]
    target = load_target(tmp_path)
    ours = target.predict(x, torch.as_tensor(t).expand(len(x)), Captions((CAPTION,) * len(x)))
    torch.testing.assert_close(ours, answer[0], rtol=1e-4, atol=1e-5)


def edited_scheduler(folder, scheduler):
    if scheduler is not None:
        scheduler.save_pretrained(folder / "scheduler")
        index = json.loads((folder / "model_index.json").read_text())
        index["scheduler"] = ["diffusers", type(scheduler).__name__]
        (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIPELINES)
def test_latents_are_decoded_as_diffusers_decodes_them(name, folders):
    target = load_target(folders[name])
    states = torch.randn(2, *target.shape, generator=torch.Generator().manual_seed(1))
    part = target.autoencoder
    scaled = states / part.config.scaling_factor + (getattr(part.config, "shift_factor", None) or 0)
    with torch.no_grad():
        torch.testing.assert_close(target.decode(states), part.decode(scaled).sample, rtol=1e-4, atol=1e-5)
    pixels = torch.rand(2, *target.picture) * 2 - 1
    encoded = target.encode(pixels) / part.config.scaling_factor + (getattr(part.config, "shift_factor", None) or 0)
    with torch.no_grad():
        found = part.encode(pixels)
        latents = found.latents if hasattr(found, "latents") else found.latent_dist.mean
    torch.testing.assert_close(encoded, latents, rtol=1e-4, atol=1e-4)  # scaled and shifted, and by no 2 x - 1


@every
def test_guess_and_noise_explain_what_was_noised(target):
    condition = condition_for(target, 0, 1, 2)
    x_t = torch.randn(3, *target.shape, generator=torch.Generator().manual_seed(2))
    for t in (10, 500):
        noise, clean = target.denoise(x_t, t, condition)
        torch.testing.assert_close(target.noised(clean, t, noise), x_t, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("target", TEXT, indirect=True)
def test_a_caption_matters_and_none_is_the_empty_one(target):
    x_t = torch.randn(2, *target.shape, generator=torch.Generator().manual_seed(2))
    said = target.denoise(x_t, 500, Captions((CAPTION,) * 2)).noise
    other = target.denoise(x_t, 500, Captions(("a red cat on a mat", ""))).noise
    assert not torch.allclose(said[0], other[0]) and not torch.allclose(said[1], other[1])
    assert torch.equal(target.denoise(x_t, 500).noise[1], other[1])


@pytest.mark.parametrize("target", TEXT, indirect=True)
def test_nothing_is_printed_of_a_caption_that_is_too_long(target, capfd):
    target.words(Captions(("cat " * 500,)), 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("target", ["pixart"], indirect=True)
def test_a_caption_that_the_tokenizer_gives_up_on_is_one_line(target, monkeypatch):
    def panics(*_, **__):
        raise type("PanicException", (BaseException,), {})("index out of bounds")

    monkeypatch.setattr(target.pipeline, "tokenizer", panics)
    with pytest.raises(UserError, match=r"cannot read the caption 'a cat' \(index out of bounds\)"):
        target.words(Captions(("a cat",)), 1)


@pytest.mark.parametrize("target", TEXT, indirect=True)
def test_words_of_a_caption_are_its_letters_here(target):
    few, many, none = target.words(Captions(("a cat", "a cat and a dog", "")), 3).sum(1).tolist()
    assert 0 == none < few < many


@pytest.mark.parametrize("target", ["stable diffusion", "pixart", "stable diffusion 3", "flux"], indirect=True)
def test_attention_to_words_is_nan_without_words(target):
    states = target.encode(torch.rand(2, *target.picture) * 2 - 1)
    condition = Captions((CAPTION, ""))
    paid = target.attention(states, 100, condition, words=True)
    assert paid[0].isfinite().all() and (paid[0] > 0).all() and paid[0].std() > 0 and paid[1].isnan().all()
    received = target.attention(states, 100, condition)
    assert received.isfinite().all() and received.shape == (2, *target.picture[1:])


@pytest.mark.parametrize("target", ["stable diffusion", "flux"], indirect=True)
def test_the_attention_of_text_encoders_is_not_the_networks(target):
    """Asked for the first time, captions are embedded in the middle of it."""
    states = target.encode(torch.rand(3, *target.picture) * 2 - 1)
    condition = Captions(("a cat", "a dog", "a tree"))
    first = target.attention(states, 100, condition)
    assert torch.equal(first, target.attention(states, 100, condition))


def test_the_schedule_is_the_models_own(folders):
    """The trap of a wrong beta schedule: Stable Diffusion's is scaled-linear."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    target = load_target(folders["stable diffusion"])
    torch.testing.assert_close(target.path.alphas.double() ** 2, (1 - betas).cumprod(0), rtol=1e-4, atol=1e-6)
    t = target.path.like_ddpm(200)
    ddpm = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)[200]
    ours = target.path.alphas[t].double() ** 2
    assert (ours / (1 - ours)).item() == pytest.approx((ddpm / (1 - ddpm)).item(), rel=0.02) and t != 200


def test_flow_matching_is_shifted_and_mapped_by_its_signal_to_noise_ratio(folders):
    path = load_target(folders["stable diffusion 3"]).path
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    torch.testing.assert_close(path.sigmas, scheduler.sigmas.flip(0)[-1000:], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(path.alphas + path.sigmas, torch.ones(1000))
    torch.testing.assert_close(path.times, path.sigmas * 1000)
    ddpm = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    for t in (100, 400, 800):
        i = path.like_ddpm(t)
        assert (path.alphas[i] / path.sigmas[i]).item() ** 2 == pytest.approx(
            (ddpm[t] / (1 - ddpm[t])).item(), rel=0.05
        )


def test_a_caption_means_the_same_whatever_stands_beside_it(folders):
    one, other = (load_target(folders["sdxl"]) for _ in range(2))
    x_t = torch.randn(3, *one.shape, generator=torch.Generator().manual_seed(2))
    together = one.denoise(x_t, 300, Captions(("a tree", CAPTION, "a"))).noise
    alone = other.denoise(x_t[1:2], 300, Captions((CAPTION,))).noise
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-6)


def test_nothing_grows_with_the_number_of_captions(folders, monkeypatch):
    target, asked = load_target(folders["stable diffusion"]), []
    embed = target.embed
    monkeypatch.setattr(target, "embed", lambda caption: asked.append(caption) or embed(caption))
    first = target.prompts(Captions(("picture 0",)), 1)
    monkeypatch.setattr("trainedon.targets.networks.text.KEPT", 4 * sum(value.nbytes for value in first.values()))
    for least, again in ((160, 0), (3, 1)):  # those of a shard are kept, however large
        monkeypatch.setattr("trainedon.targets.networks.text.AT_LEAST", least)
        asked.clear()
        for number in range(9):
            target.prompts(Captions((f"picture {number + least}",)), 1)
        assert len(asked) == 9, "the latest are kept"
        target.prompts(Captions((f"picture {least}",)), 1)
        assert len(asked) == 9 + again
    again = target.prompts(Captions(("picture 0",)), 1)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_another_size_is_another_model(folders):
    usual, large = load_target(folders["flux"]), load_target(folders["flux"], size=32)
    assert large.picture == (3, 32, 32) and large.shape == (4, 16, 16)
    assert large.identity.digest != usual.identity.digest
    assert torch.isfinite(large.denoise(torch.randn(2, *large.shape), 300).noise).all()
    with pytest.raises(UserError, match="take a multiple of 4"):
        load_target(folders["flux"], size=18)
    with pytest.raises(UserError, match="multiple of 4"):
        load_target(folders["stable diffusion"], size=18)


def test_half_precision_changes_little(folders):
    x_t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    full, half = (load_target(folders["stable diffusion 3"], precision=p) for p in ("float32", "bfloat16"))
    assert next(half.network.parameters()).dtype == torch.bfloat16
    assert next(half.autoencoder.parameters()).dtype == torch.float32
    said, near = (target.denoise(x_t, 300, Captions((CAPTION,) * 2)).noise for target in (full, half))
    assert near.dtype == torch.float32 and 0 < (said - near).abs().max() < 0.05 * said.abs().max()


def test_slicing_changes_next_to_nothing_and_hides_attention(folders):
    x_t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    plain, sliced = load_target(folders["stable diffusion"]), load_target(folders["stable diffusion"], slicing=True)
    torch.testing.assert_close(plain.denoise(x_t, 300).noise, sliced.denoise(x_t, 300).noise, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="--slicing"):
        sliced.attention(x_t, 100)


def test_offloading_needs_a_card(folders):
    with pytest.raises(UserError, match="--device cuda"):
        load_target(folders["sdxl"], offload="model")


def broken(folder, out, part, change):
    """A copy of a model with the weights of a part changed."""
    shutil.copytree(folder, out)
    (path,) = (out / part).glob("*.safetensors")
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    return out


def lose(tensors):
    del tensors[sorted(tensors)[0]]


def spoil(tensors):
    tensors[sorted(tensors)[0]].fill_(float("nan"))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("change, says", [(lose, "do not fit the configuration"), (spoil, "NaN or infinity")])
def test_damaged_parts_are_refused(folders, tmp_path, part, change, says):
    with pytest.raises(UserError, match=says):
        load_target(broken(folders["stable diffusion"], tmp_path / "model", part, change))


def edited(folder, out, **changes):
    shutil.copytree(folder, out)
    index = out / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))
    return out


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"unet": ["diffusers", "UNet2DModel"]}, "unet diffusers.UNet2DModel is not supported: one of UNet2DCond"),
        ({"text_encoder": ["wicked", "CLIPTextModel"]}, "text_encoder wicked.CLIPTextModel is not supported"),
        ({"controlnet": ["diffusers", "ControlNetModel"]}, "the family has no such part"),
        ({"scheduler": ["diffusers", "EDMEulerScheduler"]}, "EDMEulerScheduler is not supported"),
        ({"vae": [None, None]}, "names no vae"),
        ({"_class_name": "StableCascadeCombinedPipeline"}, "StableCascadeCombinedPipeline .* FluxPipeline"),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(folders, tmp_path, changes, says):
    with pytest.raises(UserError, match=says):
        load_target(edited(folders["stable diffusion"], tmp_path / "model", **changes))


@pytest.mark.filterwarnings("ignore")
def test_parts_that_do_not_belong_together_are_refused(folders, tmp_path):
    shutil.copytree(folders["stable diffusion"], tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "vae")
    tiny.autoencoder(latent_channels=3).save_pretrained(tmp_path / "model" / "vae")
    with pytest.raises(UserError, match="do not belong together"):
        load_target(tmp_path / "model")


def test_a_safety_checker_is_left_aside(folders, tmp_path):
    parts = {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    changed = edited(folders["stable diffusion"], tmp_path / "model", **parts)
    assert load_target(changed).conditioning == "caption"


def test_only_pickles_are_refused(folders, tmp_path):
    changed = edited(folders["dit"], tmp_path / "model")
    (path,) = (changed / "vae").glob("*.safetensors")
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(UserError, match="pickled weights"):
        load_target(changed)


def low_rank(network, rank=2):
    """A LoRA on all queries, with weights drawn at random."""
    from peft import LoraConfig

    network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q"], init_lora_weights=False))
    return network


@pytest.mark.filterwarnings("ignore")
def test_a_lora_of_diffusers_is_fused(folders, tmp_path):
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folders["stable diffusion"], safety_checker=None)
    torch.manual_seed(0)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(low_rank(pipeline.unet)))
    diffusers.StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers)
    plain, adapted = (load_target(folders["stable diffusion"], adapter=a) for a in (None, tmp_path))
    x_t = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    hidden = pipeline.encode_prompt(CAPTION, "cpu", 1, False)[0]
    with torch.no_grad():
        expected = pipeline.unet(x_t, 300, encoder_hidden_states=hidden).sample
    said = adapted.predict(x_t, torch.tensor([300]), Captions((CAPTION,)))
    torch.testing.assert_close(said, expected, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(said, plain.predict(x_t, torch.tensor([300]), Captions((CAPTION,))), atol=1e-3)
    assert adapted.identity.digest != plain.identity.digest and adapted.identity.name.endswith(f"+ {tmp_path.name}")


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_peft_is_fused(folders, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    network = load_target(folders["dit"]).network
    options = LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "to_v"], init_lora_weights=False)
    wrapped = get_peft_model(network, options)
    wrapped.save_pretrained(tmp_path)
    x_t, t, label = torch.randn(1, 4, 8, 8), torch.tensor([300]), torch.tensor([1])
    with torch.no_grad():
        expected = wrapped(x_t, timestep=t, class_labels=label).sample[:, :4]
    adapted = load_target(folders["dit"], adapter=tmp_path)
    torch.testing.assert_close(adapted.predict(x_t, t, Classes(label)), expected, rtol=1e-3, atol=1e-4)


def test_what_is_no_adapter_is_refused(folders, tmp_path):
    with pytest.raises(UserError, match="holds no adapter"):
        load_target(folders["stable diffusion"], adapter=tmp_path)
    save_file({"unet.nowhere.lora_A.weight": torch.ones(2, 2)}, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(UserError, match="adapter does not fit"):
        load_target(folders["stable diffusion"], adapter=tmp_path)
