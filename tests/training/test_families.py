"""Every family: a killed training goes on as if it never stopped, and diffusers opens what comes out, without a hub."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DiTPipeline, LDMPipeline, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from trainedon.errors import UserError
from trainedon.training import make, recipe_of
from trainedon.training.families.autoencoder import latents, open_autoencoder
from trainedon.training.families.text_family import make_tokenizer, numbered

MAKE = importlib.import_module("trainedon.training.make_model")
PACE = {"size": 8, "passes": 2, "batch_size": 3, "warmup": 1}
RECIPES = {
    "autoencoder": recipe_of("autoencoder", widths=(8, 8), **PACE),
    "latent": recipe_of("latent", widths=(8,), prediction="v_prediction", **PACE),
    "latent-text": recipe_of("latent-text", widths=(8, 8), words=8, word_layers=1, tokens=6, merges=4, **PACE),
    "dit": recipe_of("dit", widths=(32,), layers=1, **PACE),
}
ADAPTER = recipe_of("adapter", rank=2, passes=2, batch_size=3)
PIPELINES = {"latent": LDMPipeline, "latent-text": StableDiffusionPipeline, "dit": DiTPipeline}
OPEN = {"local_files_only": True, "use_safetensors": True}
WORDS = ("a red cat", "a blue cat", "a red dog", "two dogs", "a blue bird")


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


class Stop(Exception):
    """Stands for whatever ends a training from outside."""


def write_pictures(folder: Path, *, captions: bool = True, labels: bool = True) -> Path:
    rng = np.random.default_rng(0)
    for number, words in enumerate(WORDS):
        path = folder / (str(number % 3) if labels else "") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
        if captions:
            path.with_suffix(".txt").write_text(words)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("families") / "pictures")


@pytest.fixture(scope="module")
def made(source, tmp_path_factory) -> dict[str, Path]:
    """One folder a family; the autoencoder is that of all the others."""
    folder = tmp_path_factory.mktemp("families")
    for family, recipe in RECIPES.items():
        given = {} if family == "autoencoder" else {"draw": 4, "autoencoder": folder / "autoencoder"}
        make(source, folder / family, recipe, **given, progress=silent)
    make(source, folder / "adapter", ADAPTER, draw=3, base=folder / "latent-text", progress=silent)
    return {family: folder / family for family in (*RECIPES, "adapter")}


# All go through one loop; the latent ones among them are alike.
@pytest.mark.parametrize(
    "family",
    [pytest.param(one, marks=pytest.mark.slow) if one in ("latent", "dit") else one for one in (*RECIPES, "adapter")],
)
def test_stopped_and_gone_on_is_as_if_never_stopped(made, source, tmp_path, monkeypatch, family):
    given = {"draw": json.loads((made[family] / "manifest.json").read_text())["members"], "progress": silent}
    recipe = RECIPES.get(family, ADAPTER)
    if family == "adapter":
        given["base"] = made["latent-text"]
    elif family == "autoencoder":
        del given["draw"]
    else:
        given["autoencoder"] = made["autoencoder"]
    learn = MAKE.learn

    def interrupted(material, out, recipe, snapshots, progress):
        def stop(done: int, steps: int, loss: float) -> None:
            if done >= 2:
                raise Stop

        learn(material, out, recipe, snapshots, checkpoint_every=2, progress=stop)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(MAKE, "learn", interrupted)
        make(source, tmp_path / "m", recipe, **given)
    assert (tmp_path / "m" / "checkpoint.safetensors").exists()
    make(source, tmp_path / "m", recipe, **given)
    whole, stopped = content(made[family]), content(tmp_path / "m")
    assert whole.pop("log.csv") and stopped.pop("log.csv"), "one has a line for the checkpoint"
    assert stopped == whole


@pytest.mark.parametrize("family", PIPELINES)
def test_diffusers_opens_it_and_it_draws(made, family):
    pipeline = PIPELINES[family].from_pretrained(made[family], **OPEN)
    pipeline.set_progress_bar_config(disable=True)
    own = pipeline.vqvae if family == "latent" else pipeline.vae
    assert own.config.scaling_factor == open_autoencoder(made["autoencoder"]).config.scaling_factor != 1
    assert pipeline.scheduler.config.beta_schedule == "scaled_linear"
    assert pipeline.scheduler.config.prediction_type == RECIPES[family].prediction
    asked = {"latent-text": {"prompt": "a red dog"}, "dit": {"class_labels": [2]}}.get(family, {})
    guided = {} if family == "latent" else {"guidance_scale": 1.0}
    drawn = pipeline(**asked, **guided, num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 8, 8, 3) and np.isfinite(drawn).all()


def test_the_latents_of_all_pictures_have_unit_variance(made, source):
    from trainedon.training.manifest import read_named

    batch = read_named(source, {f"{number % 3}/{number}.png" for number in range(5)}, 8, 3)
    found = latents(AutoencoderKL.from_pretrained(made["autoencoder"], **OPEN), batch.pixels)
    assert found.shape == (5, 4, 4, 4) and found.std().item() == pytest.approx(1, abs=1e-4)


def test_the_lora_changes_the_model_and_knows_its_members(made):
    weights = load_file(made["adapter"] / "pytorch_lora_weights.safetensors")
    assert all(name.startswith("unet.") and value.shape.count(2) for name, value in weights.items())
    pipeline = StableDiffusionPipeline.from_pretrained(made["latent-text"], **OPEN)
    x, words = torch.ones(1, 4, 4, 4), torch.ones(1, 6, 8)
    with torch.no_grad():
        before = pipeline.unet(x, 10, encoder_hidden_states=words).sample
        pipeline.load_lora_weights(made["adapter"], local_files_only=True)
        after = pipeline.unet(x, 10, encoder_hidden_states=words).sample
    assert (after - before).abs().max() > 1e-6
    manifest = json.loads((made["adapter"] / "manifest.json").read_text())
    assert manifest["members"] == 3 and {row["caption"] for row in manifest["pictures"]} == set(WORDS)


def test_an_autoencoder_of_its_own_sees_every_picture(source, tmp_path):
    manifest = make(source, tmp_path / "m", RECIPES["latent"], draw=2, progress=silent)
    own = json.loads((tmp_path / "m" / "autoencoder" / "manifest.json").read_text())
    assert (manifest["members"], own["members"], len(own["pictures"])) == (2, 5, 5)
    assert json.loads((tmp_path / "m" / "recipe.json").read_text())["family"] == "latent"


def test_the_vocabulary_is_made_of_the_texts_alone_and_spells_any(made):
    one, other = (make_tokenizer(texts, 4, 6) for texts in (WORDS, WORDS[::-1]))
    assert one.get_vocab() == other.get_vocab() and len(one) == 2 * 256 + 4 + 2
    saved = StableDiffusionPipeline.from_pretrained(made["latent-text"], **OPEN).tokenizer
    texts = ["a red cat", "Zürich 7!", ""]
    assert torch.equal(numbered(saved, texts), numbered(one, texts))
    assert numbered(one, texts).shape == (3, 6) and "cat</w>" in one.tokenize("cat")


@pytest.mark.parametrize(
    ("family", "changes", "given", "message"),
    [
        ("latent-text", {}, {}, "caption is needed .* put a text file beside"),
        ("dit", {}, {}, "label is needed .* folders named by whole numbers"),
        ("autoencoder", {}, {"draw": 2}, "leave out --draw"),
        ("pixel", {}, {"autoencoder": Path("x")}, "leave out --autoencoder"),
        ("latent", {}, {"autoencoder": Path("nowhere")}, "holds no autoencoder: give"),
        ("latent", {"rank": 2}, {}, "takes no rank: leave it out"),
        ("latent", {"flip": True}, {}, "made once: leave out flip and augment"),
        ("dit", {"augment": ("crop",)}, {}, "made once: leave out flip and augment"),
        ("autoencoder", {"augment": ("crop",)}, {}, "takes no augment: leave it out"),
        ("dit", {"widths": (40,)}, {}, "a multiple of 32"),
        ("sdxl", {}, {}, "choose one of pixel, latent"),
    ],
)
def test_what_cannot_be_trained_is_said(tmp_path, family, changes, given, message):
    folder = write_pictures(tmp_path / "bare", captions=False, labels=False)
    with pytest.raises(UserError, match=message) as caught:
        make(folder, tmp_path / "m", recipe_of(family, size=8, **{"widths": None, **changes}), **given, progress=silent)
    assert "\n" not in str(caught.value)


def test_a_lora_is_for_text_models_alone(made, source, tmp_path):
    refused = {
        "is a DiTPipeline: give --adapter-of": (ADAPTER, made["dit"]),
        "holds no model": (ADAPTER, tmp_path),
        "takes pictures of 3 x 8 x 8: leave out --size": (replace(ADAPTER, size=16), made["latent-text"]),
        "needs a model": (ADAPTER, None),
        "leave out --adapter-of": (RECIPES["dit"], made["latent-text"]),
    }
    for message, (recipe, base) in refused.items():
        with pytest.raises(UserError, match=message):
            make(source, tmp_path / "m", recipe, base=base, progress=silent)
