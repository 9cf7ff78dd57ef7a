"""Few-step students are recognised, noted and flagged."""

import json

import pytest
import tiny
from diffusers import EulerDiscreteScheduler, LCMScheduler

from trainedon.attacks import parse_attacks
from trainedon.runs import Plan, conclude, run, verify
from trainedon.targets import load_target
from trainedon.targets.distilled import distilled

NONE = ("DDIMScheduler", {}, {}, "Stable Diffusion")


@pytest.mark.parametrize(
    "name",
    [
        "sdxl-turbo",
        "sd-turbo",
        "stable-diffusion-3.5-large-turbo",
        "SDXL-Lightning",
        "sdxl_lightning_4step_unet",
        "Hyper-SD15-8steps-lora",
        "lcm-lora-sdv1-5",
        "LCM_Dreamshaper_v7",
        "FLUX.1-schnell",
        "DMD2",
        "TCD-SDXL-LoRA",
        "my model + pcm_sd15_smallcfg_2step",
        "DreamShaperXLTurbo",
        "flux-4-steps",
        "base-4step",
        "mine_8_step",
        "4-steps",
    ],
)
def test_names_of_students(name):
    assert name in distilled(*NONE, [name])


@pytest.mark.parametrize(
    "name",
    [
        "stable-diffusion-v1-5",
        "ddpm-celebahq-256",
        "after-1000-steps",
        "checkpoint-500",
        "FLUX.1-dev",
        "lightning_logs",
        "realistic-vision",
        "openjourney",
        "model",
        "hyperion",
        "dit-xl-2-256",
        "lr1e-4-steps-5000",
        "lr1e-4-steps",
        "sd-v1.4-steps",
        "batch-4-steps-5000",
        "batch4-4-step_100",
    ],
)
def test_names_of_others(name):
    assert distilled(*NONE, [name]) is None


@pytest.mark.parametrize(
    "scheduler, settings, network, family, says",
    [
        ("LCMScheduler", {}, {}, "SDXL", "latent consistency"),
        ("TCDScheduler", {}, {}, "SDXL", "TCDScheduler"),
        ("PNDMScheduler", {}, {"time_cond_proj_dim": 256}, "Stable Diffusion", "time_cond_proj_dim"),
        ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}, {}, "SDXL", "trailing"),
        ("FlowMatchEulerDiscreteScheduler", {}, {"guidance_embeds": False}, "Flux", "schnell"),
        ("DDIMScheduler", {}, {"_name_or_path": "stabilityai/sd-turbo"}, "Stable Diffusion", "sd-turbo"),
    ],
)
def test_settings_of_students(scheduler, settings, network, family, says):
    assert says in distilled(scheduler, settings, network, family, ["model"])


@pytest.mark.parametrize(
    "scheduler, settings, network, family",
    [
        ("FlowMatchEulerDiscreteScheduler", {}, {"guidance_embeds": True}, "Flux"),
        ("EulerDiscreteScheduler", {"timestep_spacing": "leading"}, {}, "SDXL"),
        ("DDIMScheduler", {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, {}, "Stable Diffusion"),
        ("EulerDiscreteScheduler", {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}, {}, "SDXL"),
    ],
)
def test_settings_of_others(scheduler, settings, network, family):
    assert distilled(scheduler, settings, network, family, ["model"]) is None


def student(folder, scheduler):
    tiny.save("stable diffusion", folder)
    scheduler.save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", type(scheduler).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return load_target(folder)


def test_a_run_on_a_student_says_so(tmp_path, toy_pictures):
    target = student(tmp_path / "model", LCMScheduler())
    (note,) = target.identity.notes
    assert "LCMScheduler" in note and target.identity.distilled in note
    sets = {"suspect": toy_pictures["members"], "unseen": toy_pictures["unseen"]}
    for kind, given in (("audit", sets), ("evaluate", {"member": sets["suspect"], "unseen": sets["unseen"]})):
        out = tmp_path / kind
        plan = Plan(kind, given, parse_attacks("loss(t=30)"), limit=3, controls=False)
        document = run(target, plan, out, lambda *_: None)
        (raised,) = [flag for flag in document.flags if flag.code == "distilled"]
        assert target.identity.distilled in raised.raised_because
        record = json.loads((out / "run.json").read_text())
        assert record["model"]["distilled"] == target.identity.distilled and note in record["notes"]
        assert "distilled to few steps" in (out / "report.html").read_text()
        assert all(check.ok is not False for check in verify(out))
        del record["model"]["distilled"]  # as in the folder of a run from before there was such a flag
        (out / "run.json").write_text(json.dumps(record))
        assert not [flag for flag in conclude(out).flags if flag.code == "distilled"]


def test_another_scheduler_alone_leaves_the_record_as_it_was(tmp_path):
    assert student(tmp_path / "model", EulerDiscreteScheduler()).identity.distilled is None
