"""Checkpoints in one file answer as the folder of the same model does, or are refused in one line."""

import json
import pickle
import shlex
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import diffusers
import original
import pytest
import tiny
import torch
from commandline import call
from diffusers.loaders import single_file_utils as theirs
from safetensors.torch import load_file, save_file

from trainedon.api.opening import engine_of
from trainedon.api.options import Machine
from trainedon.cli import app
from trainedon.condition import Captions
from trainedon.errors import UserError
from trainedon.targets import Reference, load_target
from trainedon.targets.checkpoints import designs
from trainedon.targets.checkpoints.checkpoint import Checkpoint
from trainedon.targets.checkpoints.converted import skeleton_of, state_of
from trainedon.targets.checkpoints.single_file import opened_single
from trainedon.targets.load import model_digest
from trainedon.targets.reading.bounds import Held

pytestmark = pytest.mark.filterwarnings("ignore")
CAPTION = "two blue birds"


def pipeline_of(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "refiner":
            made = tiny.sdxl()
            unet = tiny.conditional(
                addition_embed_type="text_time",
                addition_time_embed_dim=4,
                projection_class_embeddings_input_dim=5 * 4 + 8,
                cross_attention_dim=8,
            )
            parts = {"text_encoder": None, "tokenizer": None, "unet": unet, "requires_aesthetics_score": True}
            kept = ("vae", "text_encoder_2", "tokenizer_2", "scheduler")
            parts |= {key: getattr(made, key) for key in kept} | {"force_zeros_for_empty_prompt": False}
            return diffusers.StableDiffusionXLImg2ImgPipeline(**parts)
        if name == "sdxl inpainting":
            made = tiny.sdxl()
            unet = tiny.conditional(**{**made.unet.config, "in_channels": 9})
            kept = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
            return diffusers.StableDiffusionXLInpaintPipeline(unet=unet, **{key: getattr(made, key) for key in kept})
        made = tiny.FAMILIES[name]() if name != "flux" else tiny.flux(guided=True)
        if name == "stable diffusion 3":  # its first text encoder does not project
            made.text_encoder.text_projection.weight.data = torch.eye(8)
        return made


class Model:
    """A tiny model as a folder, as what that has beside weights, and as one file."""

    def __init__(self, name, root):
        self.pipeline = pipeline_of(name)
        self.folder, self.base = root / "folder", root / "base"
        self.pipeline.save_pretrained(self.folder)
        original.without_weights(self.folder, self.base)
        self.state = original.WRITERS[name](self.pipeline)
        self.file = original.write(self.state, root / "model.safetensors")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Model(name, tmp_path_factory.mktemp("single"))
        return made[name]

    return get


@pytest.fixture
def sd(models):
    return models("stable diffusion")


def assert_alike(one, other):
    """Two targets give the same answers, to the last bit."""
    assert (one.shape, one.picture, one.prediction, one.identity.family) == (
        (other.shape, other.picture, other.prediction, other.identity.family)
    )
    assert one.identity.parameters == other.identity.parameters
    generator = torch.Generator().manual_seed(2)
    x, t = torch.randn(2, *one.shape, generator=generator), torch.tensor([300, 700])
    pixels = torch.rand(2, *one.picture, generator=generator) * 2 - 1
    assert torch.equal(one.path.alphas, other.path.alphas)
    with torch.no_grad():
        told, again = (target.embed(CAPTION) for target in (one, other))
        assert told.keys() == again.keys() and all(torch.equal(told[key], again[key]) for key in told)
        said = [target.predict(x, t, Captions((CAPTION, ""))) for target in (one, other)]
        assert torch.equal(*said) and said[0].std() > 0
        assert torch.equal(one.encode(pixels), other.encode(pixels)) and torch.equal(one.decode(x), other.decode(x))


@pytest.mark.parametrize("name", original.WRITERS)
def test_one_file_answers_as_its_folder(name, models):
    model = models(name)
    found = load_target(model.file, base=model.base)
    assert_alike(found, load_target(model.folder))
    assert found.identity.name == "model.safetensors" and "from model.safetensors" in found.identity.notes[0]


def test_what_the_folder_has_of_its_own_does_not_change_what_the_file_holds(sd, tmp_path):
    other = tiny.save("stable diffusion", tmp_path / "other", seed=5)
    assert_alike(load_target(sd.file, base=other), load_target(sd.folder))


def test_parts_that_the_file_lacks_come_from_the_folder(models, tmp_path):
    model = models("flux")  # as Flux is published: the transformer alone, and its names without beginning
    bare = original.write(original.flux(model.pipeline.transformer.state_dict()), tmp_path / "flux1-dev.safetensors")
    found = load_target(bare, base=model.folder)
    assert_alike(found, load_target(model.folder))
    assert "weights of transformer are from flux1-dev.safetensors, vae, text_encoder" in found.identity.notes[0]
    with pytest.raises(UserError, match="holds no weights"):
        load_target(bare, base=model.base)
    shutil.rmtree(shutil.copytree(model.folder, tmp_path / "base") / "vae")
    with pytest.raises(UserError, match=r"holds no vae.* and --base .* has none either: .*hf download .*'vae/\*'"):
        load_target(bare, base=tmp_path / "base")


@pytest.mark.parametrize("name", ["stable diffusion", "stable diffusion, v", "sdxl", "refiner"])
def test_a_network_alone_is_what_the_folder_beside_it_is(name, models, tmp_path):
    """As programs save them, with their names' common beginning or without."""
    model, begin = models(name), "model.diffusion_model."
    state = {key.removeprefix(begin): value for key, value in model.state.items() if key.startswith(begin)}
    found = load_target(original.write(state, tmp_path / "unet.safetensors"), base=model.folder)
    assert_alike(found, load_target(model.folder))
    with pytest.raises(UserError, match=r"told \d+ numbers of each word, and no text encoder: .* --base DIR"):
        load_target(tmp_path / "unet.safetensors")


def test_a_text_encoder_that_the_folder_names_as_absent_is_absent(models, tmp_path):
    model = models("stable diffusion 3")
    base = original.without_weights(model.folder, tmp_path / "base")
    state = {key: value for key, value in model.state.items() if "t5xxl" not in key}
    file = original.write(state, tmp_path / "sd3_incl_clips.safetensors")
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(base / part)
    with pytest.raises(UserError, match="holds no text_encoder_3"):
        load_target(file, base=base)
    index = json.loads((base / "model_index.json").read_text())
    index |= {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}
    (base / "model_index.json").write_text(json.dumps(index))
    assert load_target(file, base=base).pipeline.text_encoder_3 is None


def test_half_and_eight_bits_are_what_they_stand_for(sd, tmp_path):
    eight = torch.float8_e4m3fn
    state = {
        key: v.to(eight) if v.is_floating_point() and "alphas" not in key and "betas" not in key else v
        for key, v in sd.state.items()
    }
    file = original.write(state, tmp_path / "fp8.safetensors")
    found = load_target(file, base=sd.base)
    for key, value in found.network.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, sd.pipeline.unet.state_dict()[key].to(eight).float())
    assert any("eight bits (F8_E4M3)" in note for note in found.identity.notes)
    half = load_target(sd.file, base=sd.base, precision="bfloat16")
    assert_alike(half, load_target(sd.folder, precision="bfloat16"))


def test_old_and_odd_spellings_are_read(sd, tmp_path):
    """Text encoders of early files lack `text_model.`, and 1 x 1 convolutions come as linear layers."""
    state = {key.replace("transformer.text_model.", "transformer."): value for key, value in sd.state.items()}
    state = {key: v[..., 0, 0] if ".attn_1." in key and v.ndim == 4 else v for key, v in state.items()}
    assert_alike(load_target(original.write(state, tmp_path / "a.SafeTensors"), base=sd.base), load_target(sd.folder))
    shutil.copy(tmp_path / "a.SafeTensors", tmp_path / "a.ckpt")  # what a file is, its content says
    assert load_target(tmp_path / "a.ckpt", base=sd.base).identity.family.startswith("Stable Diffusion")


# What is published


PUBLISHED = {  # weights, buffers left out
    ("Stable Diffusion 1", "unet"): 859_520_964,
    ("Stable Diffusion 1", "vae"): 83_653_863,
    ("Stable Diffusion 1", "text_encoder"): 123_060_480,
    ("Stable Diffusion 2", "unet"): 865_910_724,
    ("Stable Diffusion 2", "text_encoder"): 340_387_840,
    ("SDXL", "unet"): 2_567_463_684,
    ("SDXL", "text_encoder_2"): 694_659_840,
    ("SDXL's refiner", "unet"): 2_259_526_660,
    ("Stable Diffusion 3", "transformer"): 2_028_328_000,
    ("Stable Diffusion 3", "vae"): 83_819_683,
    ("Stable Diffusion 3", "text_encoder"): 123_650_304,
    ("Stable Diffusion 3", "text_encoder_3"): 4_762_310_656,
    ("Stable Diffusion 3.5 medium", "transformer"): 2_243_171_520,
    ("Stable Diffusion 3.5 large", "transformer"): 8_056_627_520,
    ("Flux (dev)", "transformer"): 11_901_408_320,
    ("Flux (schnell)", "transformer"): 11_891_178_560,
}
BACK = {
    "UNet2DConditionModel": lambda state, config: original.unet(state, config["layers_per_block"]),
    "AutoencoderKL": lambda state, _config: original.vae(state, 4),
    "SD3Transformer2DModel": lambda state, _config: original.sd3(state),
    "FluxTransformer2DModel": lambda state, _config: original.flux(state),
}


class Header:
    """A file of which there are shapes alone."""

    def __init__(self, state):
        self.state = state
        self.tensor = state.__getitem__


def checkpoint(state):
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    return Checkpoint(Path("full"), shapes, dict.fromkeys(shapes, "F16"), {}, Header(state))


LARGEST = Held(tensors=2000, numbers=12 * 10**9)  # the largest of them


@pytest.mark.parametrize("title, part", PUBLISHED)
def test_published_configurations_make_the_published_networks(title, part):
    """Their size is right, and all tensors of an original file of full size find their places."""
    known = [one for one in vars(designs).values() if isinstance(one, designs.Design)]
    design = next(one for one in known if one.title == title)
    of = design.parts[part]
    kind = getattr(import_module(of.kind[0]), of.kind[1])
    whole = skeleton_of(kind, of, dict(of.config), title, LARGEST)
    assert sum(parameter.numel() for parameter in whole.parameters()) == PUBLISHED[title, part]
    if of.kind[1] in BACK:
        file = BACK[of.kind[1]](whole.state_dict(), of.config)
    elif of.rule is designs.names.open_clip:
        file = original.open_clip(whole.state_dict())
    else:
        file = {key: v for key, v in whole.state_dict().items() if key != "encoder.embed_tokens.weight"}
    state = state_of(checkpoint(file), design, part, {key: key for key in file}, whole, torch.float16)
    wanted = {key: tuple(value.shape) for key, value in whole.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in state.items()} == wanted


def test_names_are_those_that_diffusers_makes_of_the_original_ones(models):
    """Each converter of diffusers makes the same of the same tensors (that of Flux takes full size alone)."""
    xl, three, two = models("sdxl"), models("stable diffusion 3"), models("stable diffusion, v")
    pairs = [
        (theirs.convert_ldm_unet_checkpoint(xl.state, dict(xl.pipeline.unet.config)), xl.pipeline.unet),
        (theirs.convert_ldm_vae_checkpoint(xl.state, dict(xl.pipeline.vae.config)), xl.pipeline.vae),
        (
            theirs.convert_open_clip_checkpoint(xl.pipeline.text_encoder_2, xl.state, "conditioner.embedders.1.model."),
            xl.pipeline.text_encoder_2,
        ),
        (
            theirs.convert_sd3_transformer_checkpoint_to_diffusers(
                {key: v for key, v in three.state.items() if key.startswith("model.diffusion_model.")}
            ),
            three.pipeline.transformer,
        ),
        (theirs.convert_ldm_unet_checkpoint(two.state, dict(two.pipeline.unet.config)), two.pipeline.unet),
    ]
    for converted, module in pairs:
        wanted = module.state_dict()
        assert converted.keys() == wanted.keys() and all(torch.equal(converted[key], wanted[key]) for key in wanted)
    for state, kind in ((xl.state, "xl_base"), (models("inpainting").state, "inpainting")):
        known = state | {theirs.CHECKPOINT_KEY_NAMES["xl_base"]: torch.ones(1)} if kind == "xl_base" else state
        assert theirs.infer_diffusers_model_type(known) == kind


@pytest.fixture
def small(sd, monkeypatch, tmp_path):
    """The published Stable Diffusion 1 were as small as this, and all that is given is a tokenizer."""
    parts = {
        key: replace(part, config=dict(getattr(sd.pipeline, key).config))
        for key, part in designs.SD1.parts.items()
        if key != "text_encoder"
    }
    words = replace(designs.SD1.parts["text_encoder"], config=sd.pipeline.text_encoder.config.to_dict())
    monkeypatch.setattr(designs, "SD1", replace(designs.SD1, parts={**parts, "text_encoder": words}))
    shutil.copytree(sd.base / "tokenizer", tmp_path / "words" / "tokenizer")
    return tmp_path / "words"


def test_without_configurations_the_published_ones_are_taken(sd, small):
    found = load_target(sd.file, base=small)
    assert_alike(found, load_target(sd.folder))
    assert (
        "unet, vae, text_encoder, scheduler: configured as Stable Diffusion 1 was published" in found.identity.notes[1]
    )


def test_a_vocabulary_is_needed_and_its_own(sd, small):
    with pytest.raises(UserError, match=r"holds no vocabulary \(tokenizer\).*hf download .* --include 'tokenizer/\*'"):
        load_target(sd.file)
    for change, says in (({"model_max_length": 77}, "takes 16"), ({"pad_token": "!"}, "fills captions up with '!'")):
        path = small / "tokenizer" / "tokenizer_config.json"
        kept = path.read_text()
        path.write_text(json.dumps(json.loads(kept) | change))
        with pytest.raises(UserError, match=says):
            load_target(sd.file, base=small)
        path.write_text(kept)
    tokenizer = tiny.clip_words()
    tokenizer.add_tokens(["more"])
    tokenizer.save_pretrained(small / "tokenizer")
    with pytest.raises(UserError, match="knows 191 words, and the text encoder 190"):
        load_target(sd.file, base=small)


# What it predicts


def test_stable_diffusion_2_needs_to_say_what_it_predicts(models, tmp_path):
    model = models("stable diffusion, v")
    base = original.without_weights(model.folder, tmp_path / "base")
    shutil.rmtree(base / "scheduler")
    with pytest.raises(UserError, match=r"predict noise .* or v .*does not say which: give --base"):
        load_target(model.file, base=base)
    file = original.write(model.state, tmp_path / "said.safetensors", **{"modelspec.prediction_type": "v"})
    assert load_target(file, base=base).prediction == "v_prediction"
    zero = original.write(model.state | {"ztsnr": torch.zeros(0), "v_pred": torch.zeros(0)}, tmp_path / "z.safetensors")
    assert load_target(zero, base=base).path.alphas[-1] == 0
    shutil.rmtree(base / "unet")
    with opened_single(file, base) as single:
        assert single.config("unet")[0]["sample_size"] == 96
    base = original.without_weights(model.folder, tmp_path / "again")
    shutil.rmtree(base / "scheduler")
    beside = tmp_path / "beside.safetensors"
    shutil.copy(model.file, beside)
    beside.with_suffix(".yaml").write_text('model:\n  params:\n    parameterization: "v"\n    linear_start: 0.00085\n')
    assert load_target(beside, base=base).prediction == "v_prediction"
    beside.with_suffix(".yaml").write_text("model:\n  params:\n    linear_start: 0.00085\n")
    assert load_target(beside, base=base).prediction == "epsilon"
    with pytest.raises(UserError, match=r"says v_prediction, and beside.safetensors says epsilon \(beside.yaml\)"):
        load_target(beside, base=model.base)


def test_markers_and_names_of_v_prediction_are_heeded(models, tmp_path):
    model = models("sdxl")
    marked = model.state | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    file = original.write(marked, tmp_path / "noob.safetensors")
    with pytest.raises(UserError, match=r"its scheduler says epsilon, and noob.safetensors says v_prediction"):
        load_target(file, base=model.base)
    base = original.without_weights(model.folder, tmp_path / "base")
    scheduler = base / "scheduler" / "scheduler_config.json"
    config = json.loads(scheduler.read_text()) | {"prediction_type": "v_prediction"}
    scheduler.write_text(json.dumps(config))
    with pytest.raises(UserError, match="no zero terminal signal-to-noise ratio"):
        load_target(file, base=base)
    shutil.rmtree(base / "scheduler")
    found = load_target(file, base=base)
    assert found.prediction == "v_prediction" and found.path.alphas[-1] == 0
    named = tmp_path / "model-vpred.safetensors"
    shutil.copy(model.file, named)
    with pytest.raises(UserError, match="its name speaks of v-prediction"):
        load_target(named, base=base)
    assert load_target(named, base=model.base).prediction == "epsilon"


@pytest.mark.parametrize("name", ["alphas_cumprod", "betas", "denoiser.sigmas"])
def test_another_noise_path_in_the_file_is_refused(name, sd, tmp_path):
    linear = diffusers.DDPMScheduler()
    bars = linear.alphas_cumprod
    value = {"betas": linear.betas, "denoiser.sigmas": ((1 - bars) / bars).sqrt().flip(0)}.get(name, bars)
    with pytest.raises(UserError, match=rf"another noise path than is assumed \({name}\)"):
        load_target(original.write(sd.state | {name: value}, tmp_path / "other.safetensors"), base=sd.base)


def test_its_own_noise_path_in_half_precision_is_no_other_one(sd, tmp_path):
    bars = sd.pipeline.scheduler.alphas_cumprod
    own = {
        "alphas_cumprod": bars,
        "betas": sd.pipeline.scheduler.betas,
        "denoiser.sigmas": ((1 - bars) / bars).sqrt().flip(0),
    }
    half = {key: value.half() for key, value in own.items()}
    load_target(original.write(sd.state | half, tmp_path / "half.safetensors"), base=sd.base)


# What a reader is told, and what stands for the model


def test_notes_name_averages_and_few_steps(sd, tmp_path):
    ema = {
        "model_ema." + key.replace(".", ""): value + 1 for key, value in sd.state.items() if key.startswith("model.")
    }
    file = original.write(sd.state | ema, tmp_path / "sd_turbo.safetensors")
    found = load_target(file, base=sd.base)
    assert_alike(found, load_target(sd.folder))
    notes = " | ".join(found.identity.notes)
    assert "averaged weights (model_ema)" in notes and "sd_turbo" in notes and "distilled to few steps" in notes


def test_the_digest_is_of_all_that_decides(sd, tmp_path):
    digest = load_target(sd.file, base=sd.base).identity.digest
    assert model_digest(sd.file, base=sd.base) == digest != load_target(sd.folder).identity.digest
    renamed = Path(shutil.copy(sd.file, tmp_path / "renamed.safetensors"))
    base = Path(shutil.copytree(sd.base, tmp_path / "other name"))
    assert model_digest(renamed, base=base) == digest
    for path, change in (
        ("vae/config.json", {"scaling_factor": 0.5}),
        ("scheduler/scheduler_config.json", {"beta_end": 0.02}),
    ):
        changed = Path(shutil.copytree(sd.base, tmp_path / path.split("/")[0]))
        (changed / path).write_text(json.dumps(json.loads((changed / path).read_text()) | change))
        (renamed.with_suffix(".yaml")).unlink(missing_ok=True)
        plain = {key: v for key, v in sd.state.items() if key not in ("alphas_cumprod", "betas")}
        bare = original.write(plain, tmp_path / "bare.safetensors")
        assert model_digest(bare, base=changed) != model_digest(bare, base=sd.base)
    changed = Path(shutil.copytree(sd.base, tmp_path / "another scheduler"))
    index = changed / "model_index.json"
    index.write_text(index.read_text().replace("PNDMScheduler", "DDIMScheduler"))
    assert model_digest(bare, base=changed) != model_digest(bare, base=sd.base)
    (base / "tokenizer" / "vocab.json").write_text("{}")
    assert model_digest(renamed, base=base) != digest
    other = sd.state | {"model.diffusion_model.out.2.bias": torch.ones(4)}
    assert model_digest(original.write(other, tmp_path / "o.safetensors"), base=sd.base) != digest


def test_a_file_can_stand_beside_a_file(sd, tmp_path):
    other = {key: value + 0.01 if key.startswith("model.") else value for key, value in sd.state.items()}
    reference = Reference.open(original.write(other, tmp_path / "other.safetensors"), sd.base)
    target = load_target(sd.file, base=sd.base)
    reference.check(target)
    assert reference.target(target).identity.digest == reference.digest
    with pytest.raises(UserError, match="the audited model itself"):
        Reference.open(sd.file, sd.base).check(target)
    Reference.open(sd.folder).check(target)  # a folder needs none


def test_the_command_line_passes_the_folder_beside_on(sd, toy_pictures, tmp_path):
    other = {key: value + 0.01 if key.startswith("model.") else value for key, value in sd.state.items()}
    reference = original.write(other, tmp_path / "other.safetensors")
    given = {"members": toy_pictures["members"], "unseen": toy_pictures["unseen"], "limit": 4, "base": sd.base}
    given |= {"attacks": "calibrated(loss)", "reference": reference, "out": tmp_path / "run"}
    options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    app(["evaluate", str(sd.file), *options, "--no-controls"], standalone_mode=False)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["identity"]["model"] == model_digest(sd.file, base=sd.base)
    assert any("from model.safetensors" in note for note in record["notes"])
    assert engine_of("any", Machine(base=sd.base)) is None
    assert engine_of("any", Machine(base=sd.base, engine="ray")).options["base"] == sd.base


# What is refused


def test_both_names_of_what_t5_knows_of_tokens_are_one(models, tmp_path):
    model, begin = models("flux"), "text_encoders.t5xxl.transformer."
    shared = model.state[f"{begin}shared.weight"]
    both = model.state | {f"{begin}encoder.embed_tokens.weight": shared}
    assert_alike(
        load_target(original.write(both, tmp_path / "a.safetensors"), base=model.base), load_target(model.folder)
    )
    both[f"{begin}encoder.embed_tokens.weight"] = shared + 1
    with pytest.raises(UserError, match="differ, and T5 has but one"):
        load_target(original.write(both, tmp_path / "b.safetensors"), base=model.base)


def spoiled(sd, path, change):
    state = dict(sd.state)
    change(state)
    return original.write(state, path)


NETWORK = "model.diffusion_model."


def lose(state):
    del state[f"{NETWORK}input_blocks.1.0.in_layers.0.weight"]


def reshape(state):
    state[f"{NETWORK}out.2.weight"] = torch.ones(4, 9, 3, 3)


def add(state):
    state[f"{NETWORK}input_blocks.1.0.extra.weight"] = torch.ones(1)


def add_with_a_name_of_two_lines(state):
    state[f"{NETWORK}a\nb" + "c" * 1000] = torch.ones(1)


def under_another_beginning(state):
    key = "first_stage_model.encoder.conv_in.bias"
    state[key.replace("first_stage_model", "vae")] = state[key]


def add_outside(state):
    state["style_model.weight"] = torch.ones(1)


def spoil(state):
    state[f"{NETWORK}out.2.bias"] = torch.full((4,), torch.inf)


def pack(state):
    state[f"{NETWORK}out.2.weight"] = torch.ones(4, 36, dtype=torch.uint8)


def pack_by_name(state):
    state[f"{NETWORK}out.2.weight.quant_state.bitsandbytes__nf4"] = torch.ones(4)


def scale(state):
    state["scaled_fp8"] = torch.ones(2)


def twice(state):
    key = "cond_stage_model.transformer.text_model.final_layer_norm.bias"
    state[key.replace("text_model.", "")] = state[key]


def eight_channels(state):
    state[f"{NETWORK}input_blocks.0.0.weight"] = torch.ones(8, 8, 3, 3)


def edm(state):
    state["edm_mean"] = torch.ones(4)


@pytest.mark.parametrize(
    "change, says",
    [
        (lose, r"lacks weights of its unet \(1 of \d+, first: down_blocks.0.resnets.0.norm1.weight\)"),
        (reshape, r"out.2.weight has the shape \[4, 9, 3, 3\], where \[4, 8, 3, 3\] is needed"),
        (add, "holds tensors that Stable Diffusion 1 does not have: model.diffusion_model.input_blocks.1.0.extra"),
        (add_with_a_name_of_two_lines, r"does not have: model.diffusion_model.a\?bc{70,80}\.\.\.;"),
        (under_another_beginning, "holds vae.encoder.conv_in.bias twice, under two beginnings"),
        (add_outside, "does not have: style_model.weight; .* cannot be known"),
        (spoil, "NaN or infinity"),
        (pack, r"quantized weights \(model.diffusion_model.out.2.weight, U8\)"),
        (pack_by_name, "quantized weights"),
        (scale, "quantized weights"),
        (twice, "holds text_encoder.final_layer_norm.bias twice"),
        (eight_channels, r"takes 8 channels \(InstructPix2Pix\)"),
        (edm, r"EDM's noise path \(edm_mean\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, says, sd, tmp_path):
    with pytest.raises(UserError, match=says) as caught:
        load_target(spoiled(sd, tmp_path / "model.safetensors", change), base=sd.base)
    assert "\n" not in str(caught.value)


def foreign(*names):
    return lambda path: save_file({name: torch.ones(2, 2) for name in names}, path)


def part_of_a_model(path):
    foreign("down_blocks.0.resnets.0.conv1.weight")(path)
    path.with_name("config.json").write_text("{}")


FLUX = "double_blocks.0.img_attn.qkv.weight"


@pytest.mark.parametrize(
    "write, says",
    [
        (foreign("lora_unet_down_blocks_0.lora_up.weight"), "is an adapter .* as --adapter"),
        (foreign("unet.down_blocks.0.attn1.to_q.lora_A.weight"), "is an adapter .* as --adapter"),
        (part_of_a_model, "one part of a diffusers model: give the folder"),
        (foreign("down_blocks.0.resnets.0.conv1.weight"), "no config.json beside it .* as my_module:make_target"),
        (foreign("first_stage_model.encoder.conv_in.weight"), "an autoencoder alone"),
        (foreign("control_model.input_blocks.0.0.weight"), "is a ControlNet"),
        (foreign("something.weight"), "none of the networks .*its first tensor is something.weight"),
        (foreign(FLUX, "distilled_guidance_layer.in_proj.weight"), "holds Chroma"),
        (foreign(FLUX, "img_in.weight", "x"), "is also given a picture"),
        (lambda path: save_file({}, path), "holds no tensors"),
        (lambda path: path.write_bytes(b""), "not downloaded whole"),
        (lambda path: path.write_bytes(b"\xff" * 600), "not downloaded whole"),
        (lambda path: path.write_bytes(b"GGUF" + b"\0" * 600), "is GGUF"),
        (lambda path: path.write_text("<!DOCTYPE html><html>"), "a web page"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"),
    ],
)
def test_what_is_no_model_is_said_to_be_what_it_is(write, says, tmp_path):
    path = tmp_path / "model.safetensors"
    write(path)
    with pytest.raises(UserError, match=says) as caught:
        load_target(path)
    assert "\n" not in str(caught.value)


def test_a_download_that_stopped_is_said_to_be_one(sd, tmp_path):
    path = Path(shutil.copy(sd.file, tmp_path / "model.safetensors"))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 1000)
    with pytest.raises(UserError, match=f"was not downloaded whole: it has {size - 1000:,} of {size:,} bytes"):
        load_target(path, base=sd.base)


def test_a_part_of_a_folder_leads_to_the_folder(sd):
    with pytest.raises(UserError, match=f"give the folder of the whole model, such as {sd.folder.resolve()}$"):
        load_target(sd.folder / "unet" / "diffusion_pytorch_model.safetensors")


class Bomb:
    def __reduce__(self):
        return exec, ("import os; os.mkdir('exploded')",)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.safetensors"])
def test_pickles_are_refused_with_the_line_that_converts_them(name, sd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="is a pickle, which can run code") as caught:
        load_target(path, base=sd.base)
    assert not (tmp_path / "exploded").exists() and "\n" not in str(caught.value)


def test_the_line_converts(sd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {**sd.state, "global_step": 3}, "epoch": 1}, "model.ckpt")
    with pytest.raises(UserError) as caught:
        load_target("model.ckpt", base=sd.base)
    _, *words = shlex.split(str(caught.value).split("`")[1])
    assert call(*words).returncode == 0
    assert_alike(load_target("model/state_dict.safetensors", base=sd.base), load_target(sd.folder))
    assert load_file("model/state_dict.safetensors").keys() == sd.state.keys()


def test_the_folder_beside_must_be_of_the_model(sd, models, tmp_path):
    with pytest.raises(UserError, match="is a FluxPipeline, and the file holds Stable Diffusion 1"):
        load_target(sd.file, base=models("flux").base)
    with pytest.raises(UserError, match="is no folder: give a diffusers folder of Stable Diffusion 1"):
        load_target(sd.file, base=tmp_path / "nowhere")
    with pytest.raises(UserError, match="--base is for a model in one file"):
        load_target(sd.folder, base=sd.base)


def test_a_file_that_changes_while_it_is_read_is_refused(sd, tmp_path):
    path = Path(shutil.copy(sd.file, tmp_path / "model.safetensors"))
    file = Checkpoint.open(path)
    original.write(sd.state | {"logvar": torch.ones(1)}, path)
    with pytest.raises(UserError, match="was changed while it was read"):
        file.sha256()
