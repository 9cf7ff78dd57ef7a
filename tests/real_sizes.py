"""Models as wide as the published ones and not as deep, with weights drawn at random, saved in half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import diffusers
import tiny
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel


def autoencoder(**changes: object) -> AutoencoderKL:
    """That of Stable Diffusion with one layer a level: 8 pixels a latent."""
    options: dict = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "latent_channels": 4,
        "sample_size": 512,
    }
    return AutoencoderKL(**(options | changes))


def clip(hidden: int, heads: int, layers: int = 1, projected: bool = False) -> CLIPTextModel:
    """As wide as a published one, with letters for words."""
    config = CLIPTextConfig(
        vocab_size=190,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=77,
        projection_dim=hidden,
        bos_token_id=188,
        eos_token_id=189,
        pad_token_id=189,
    )
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def stable_diffusion(layers: int = 1, **parts: object) -> diffusers.StableDiffusionPipeline:
    """Stable Diffusion 1.5; with 2 layers its whole network."""
    words = {"text_encoder": clip(768, 12), "vae": autoencoder()} | parts
    return diffusers.StableDiffusionPipeline(
        **words,
        tokenizer=tiny.clip_words(77),
        unet=UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, layers_per_block=layers
        ),
        scheduler=tiny.PATHS["stable diffusion"](),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def whole_stable_diffusion() -> diffusers.StableDiffusionPipeline:
    return stable_diffusion(2, text_encoder=clip(768, 12, 12), vae=autoencoder(layers_per_block=2))


def sdxl() -> diffusers.StableDiffusionXLPipeline:
    """One layer a level, with one transformer block each, where SDXL has two with up to ten."""
    network = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=6 * 256 + 1280,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=autoencoder(scaling_factor=0.13025, sample_size=1024),
        text_encoder=clip(768, 12),
        text_encoder_2=clip(1280, 20, projected=True),
        tokenizer=tiny.clip_words(77),
        tokenizer_2=tiny.clip_words(77),
        unet=network,
        scheduler=diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    )


def flux() -> diffusers.FluxPipeline:
    """One block of each kind, where Flux has 19 and 38."""
    network = diffusers.FluxTransformer2DModel(num_layers=1, num_single_layers=1, guidance_embeds=True)
    coder = {"latent_channels": 16, "shift_factor": 0.1159, "scaling_factor": 0.3611, "sample_size": 1024}
    t5 = T5Config(vocab_size=32, d_model=4096, d_kv=64, d_ff=10240, num_layers=1, num_heads=64)
    return diffusers.FluxPipeline(
        scheduler=tiny.PATHS["flow"](use_dynamic_shifting=True),
        vae=autoencoder(**coder, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(768, 12),
        tokenizer=tiny.clip_words(77),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=tiny.t5_words(),
        transformer=network,
    )


MODELS: dict[str, Callable] = {"Stable Diffusion 1.5": stable_diffusion, "SDXL": sdxl, "Flux": flux}


def save(make: Callable, folder: Path) -> int:
    """Write a pipeline in float16; how many numbers its weights are."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)  # drawn as they are stored: nothing is held twice
    try:
        pipeline = make()
    finally:
        torch.set_default_dtype(before)
    pipeline.to(torch.float16).save_pretrained(folder)
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(one.numel() for part in parts for one in part.parameters())


if __name__ == "__main__":
    import sys

    made = MODELS | {"whole Stable Diffusion 1.5": whole_stable_diffusion}
    print(save(made[sys.argv[1]], Path(sys.argv[2])))  # noqa: T201 (the numbers, for the test that asks for them)
