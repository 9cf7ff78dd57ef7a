"""Tiny pipelines of every family, made through diffusers' own classes with weights drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel, VQModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

TRANSFORMER = {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 2, "in_channels": 4, "out_channels": 8}
TRANSFORMER |= {"sample_size": 8, "patch_size": 2, "norm_num_groups": 4}
CAPTIONS = ("a red cat on a mat", "two blue birds", "a tree", "the sea at night")
PATHS = {
    "ddim": lambda **changes: diffusers.DDIMScheduler(**changes),
    "stable diffusion": lambda **changes: diffusers.PNDMScheduler(
        **{
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "skip_prk_steps": True,
            "steps_offset": 1,
        }
        | changes
    ),
    "flow": lambda **changes: diffusers.FlowMatchEulerDiscreteScheduler(**{"shift": 3.0} | changes),
}


def autoencoder(**changes: object) -> AutoencoderKL:
    """16 x 16 pixels to 8 x 8 latents."""
    options: dict = {
        "block_out_channels": (4, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 2,
        "latent_channels": 4,
        "sample_size": 16,
    }
    return AutoencoderKL(**(options | changes))


def vq() -> VQModel:
    return VQModel(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=2,
        latent_channels=3,
        num_vq_embeddings=16,
        scaling_factor=0.8,
    )


def unconditional(**changes: object) -> UNet2DModel:
    options: dict = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (4, 8),
        "norm_num_groups": 2,
        "attention_head_dim": 8,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DModel(**(options | changes))


def conditional(**changes: object) -> UNet2DConditionModel:
    options: dict = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": 8,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DConditionModel(**(options | changes))


def clip_words(length: int = 16) -> CLIPTokenizer:
    """Letters as words: a vocabulary without merges."""
    letters = [chr(c) for c in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=length)


def clip(projected: bool = False, length: int = 16, size: int = 8) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=190,
        hidden_size=size,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=length,
        projection_dim=size,
        bos_token_id=188,
        eos_token_id=189,
        pad_token_id=189,
    )
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def t5_words() -> T5TokenizerFast:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return T5TokenizerFast(vocab=pieces + [(c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz"], extra_ids=0)


def t5(size: int = 8) -> T5EncoderModel:
    return T5EncoderModel(T5Config(vocab_size=32, d_model=size, d_kv=4, d_ff=16, num_layers=1, num_heads=2))


def stable_diffusion(unet: dict | None = None, kind: str = "StableDiffusionPipeline", **path: object):
    return getattr(diffusers, kind)(
        vae=autoencoder(),
        text_encoder=clip(),
        tokenizer=clip_words(),
        unet=conditional(**(unet or {})),
        scheduler=PATHS["stable diffusion"](**path),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl():
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4}
    added |= {"projection_class_embeddings_input_dim": 6 * 4 + 8, "cross_attention_dim": 16}
    return diffusers.StableDiffusionXLPipeline(
        vae=autoencoder(scaling_factor=0.13025),
        text_encoder=clip(),
        text_encoder_2=clip(projected=True),
        tokenizer=clip_words(),
        tokenizer_2=clip_words(),
        unet=conditional(**added),
        scheduler=diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    )


def pixart(kind: str = "PixArtAlphaPipeline"):
    network = diffusers.PixArtTransformer2DModel(
        **TRANSFORMER,
        caption_channels=8,
        cross_attention_dim=8,
    )
    return getattr(diffusers, kind)(
        tokenizer=t5_words(),
        text_encoder=t5(),
        vae=autoencoder(),
        transformer=network,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


def dit():
    network = diffusers.DiTTransformer2DModel(
        **TRANSFORMER,
        num_embeds_ada_norm=3,
    )
    return diffusers.DiTPipeline(transformer=network, vae=autoencoder(), scheduler=PATHS["ddim"]())


def sd3():
    network = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=4,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=8,
        pooled_projection_dim=16,
        out_channels=4,
        pos_embed_max_size=8,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=network,
        scheduler=PATHS["flow"](),
        vae=autoencoder(shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(projected=True),
        tokenizer=clip_words(),
        text_encoder_2=clip(projected=True),
        tokenizer_2=clip_words(),
        text_encoder_3=t5(16),
        tokenizer_3=t5_words(),
    )


def flux(guided: bool = False):
    network = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=guided,
    )
    return diffusers.FluxPipeline(
        scheduler=PATHS["flow"](use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.1, scaling_factor=0.4, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(),
        tokenizer=clip_words(),
        text_encoder_2=t5(),
        tokenizer_2=t5_words(),
        transformer=network,
    )


FAMILIES: dict[str, Callable] = {
    "latent, VQ": lambda: diffusers.LDMPipeline(vqvae=vq(), unet=unconditional(), scheduler=PATHS["ddim"]()),
    "latent, KL": lambda: diffusers.LDMPipeline(
        vqvae=autoencoder(), unet=unconditional(in_channels=4, out_channels=4), scheduler=PATHS["ddim"]()
    ),
    "stable diffusion": stable_diffusion,
    "stable diffusion, v": lambda: stable_diffusion(prediction_type="v_prediction"),
    "inpainting": lambda: stable_diffusion({"in_channels": 9}, "StableDiffusionInpaintPipeline"),
    "sdxl": sdxl,
    "pixart": pixart,
    "dit": dit,
    "stable diffusion 3": sd3,
    "flux": flux,
}


def save(family: str, folder: Path, seed: int = 0) -> Path:
    """Write the pipeline of a family into `folder`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        FAMILIES[family]().save_pretrained(folder)
    return folder
