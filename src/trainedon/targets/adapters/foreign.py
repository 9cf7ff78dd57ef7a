"""What a file seems to be that is no adapter of the model."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

_KINDS = [
    (r"boft_", "a BOFT adapter"),
    (r"oft_blocks|oft_diag|oft_R\b|\.oft_|_oft_", "an OFT adapter"),
    (r"ia3_|\.on_input$", "an (IA)3 adapter"),
    (r"lora_unet_\w+\.[ab][12]\.weight$", "a GLoRA adapter"),
    (r"vera_lambda", "a VeRA adapter"),
    (r"\.lora_E\b", "an AdaLoRA adapter"),
    (r"fourierft", "a FourierFT adapter"),
    (r"string_to_param|^emb_params$|^clip_[lg]$|^<.*>$|^t5$|^learned_embeds", "a textual inversion embedding"),
    (r"lora_controlnet$|input_hint_block|controlnet|control_model|zero_convs", "a ControlNet or a ControlLoRA"),
    (r"ip_adapter|image_proj|to_k_ip", "an IP-Adapter"),
    (r"motion_modules", "a motion module of AnimateDiff"),
    (r"^adapter\.body|^body\.\d+\.", "a T2I-Adapter"),
    (r"^\d+\.\d+\.linear|^hypernet", "a hypernetwork"),
    (r"\.set_weight$", "a patch that replaces weights"),
]
_CHANGE = re.compile(r"lora|hada_|lokr_|\.diff(_b)?$|_norm$|alpha$")
_FAMILIES = [
    (r"double_blocks|single_blocks|single_transformer_blocks", "Flux"),
    (r"joint_blocks|transformer_blocks[._]\d+[._]attn[._]add_q_proj", "Stable Diffusion 3"),
    (r"blocks[._]\d+[._](self|cross)_attn[._][qkvo]\b", "Wan or another video model"),
    (r"adaln_single|caption_projection", "PixArt"),
    (r"lora_te2_|text_encoder_2\.|(input_blocks[._]8|middle_block)[._]1[._]transformer_blocks[._]9", "SDXL"),
    (r"attentions[._]\d[._]transformer_blocks[._]9[._]", "SDXL"),
]
_WIDTHS = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "SDXL"}


def seems(tensors: dict[str, torch.Tensor]) -> str | None:
    """In words: the kind of file, or the family that a LoRA is for. None where nothing tells."""
    keys = list(tensors)
    for pattern, kind in _KINDS:
        if _any(pattern, keys):
            return kind
    if not any(_CHANGE.search(key) for key in keys):
        if _any(r"^model\.diffusion_model\.|^first_stage_model\.|^(cond_stage_model|conditioner)\.", keys):
            return "a whole checkpoint: give it as the MODEL"
        if len(keys) > 20 and all(key.endswith((".weight", ".bias")) for key in keys):
            return "the weights of a network: give the folder that it belongs to as the MODEL"
        return None
    for key, value in tensors.items():
        if re.search(r"attn2[._]to_k\W.*(down|lora_A)", key) and value.dim() > 1 and value.shape[1] in _WIDTHS:
            return f"a LoRA for {_WIDTHS[value.shape[1]]}"
    return next((f"a LoRA for {family}" for pattern, family in _FAMILIES if _any(pattern, keys)), None)


def _any(pattern: str, keys: Iterable[str]) -> bool:
    compiled = re.compile(pattern)
    return any(compiled.search(key) for key in keys)
