"""Which configuration keys are accepted: those of well-known models of the hub, and no others."""

import json
import logging
import shutil

import diffusers
import pytest
import tiny
import transformers

from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.networks.families import FAMILIES, check
from trainedon.targets.reading.components import heeded
from trainedon.targets.reading.configs import check_asked, check_index, check_network, check_text, defaults

# The keys of configurations as they are on the hub, with values where they matter.
PIXEL = {
    "act_fn": "silu", "attention_head_dim": None, "block_out_channels": [128, 256, 256, 256], "norm_eps": 1e-06,
    "center_input_sample": False, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "in_channels": 3,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"], "layers_per_block": 2,
    "mid_block_scale_factor": 1, "norm_num_groups": 32, "out_channels": 3, "sample_size": 32,
    "time_embedding_type": "positional", "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}  # fmt: skip
UNET = {
    "act_fn": "silu", "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280], "norm_eps": 1e-05,
    "center_input_sample": False, "cross_attention_dim": 768, "down_block_types": [], "downsample_padding": 1,
    "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
    "norm_num_groups": 32, "out_channels": 4, "sample_size": 64, "up_block_types": [],
}  # fmt: skip
UNET_2 = UNET | {
    "attention_head_dim": [5, 10, 20, 20], "dual_cross_attention": False, "use_linear_projection": True,
    "only_cross_attention": False, "num_class_embeds": None, "upcast_attention": True,
    "_name_or_path": "stabilityai/stable-diffusion-2-1", "class_embed_type": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "projection_class_embeddings_input_dim": None, "resnet_time_scale_shift": "default", "time_cond_proj_dim": None,
    "time_embedding_type": "positional", "timestep_post_act": None, "conv_in_kernel": 3, "conv_out_kernel": 3,
}  # fmt: skip
UNET_XL = UNET_2 | {
    "addition_embed_type": "text_time", "addition_embed_type_num_heads": 64, "addition_time_embed_dim": 256,
    "class_embeddings_concat": False, "cross_attention_norm": None, "encoder_hid_dim": None,
    "encoder_hid_dim_type": None, "mid_block_only_cross_attention": None, "num_attention_heads": None,
    "projection_class_embeddings_input_dim": 2816, "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": False,
    "time_embedding_act_fn": None, "time_embedding_dim": None, "transformer_layers_per_block": [1, 2, 10],
}  # fmt: skip
KL = {
    "act_fn": "silu", "block_out_channels": [128, 256, 512, 512], "down_block_types": [], "in_channels": 3,
    "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 512,
    "up_block_types": [],
}  # fmt: skip
KL_3 = KL | {
    "force_upcast": True, "latents_mean": None, "latents_std": None, "scaling_factor": 1.5305, "shift_factor": 0.0609,
    "use_post_quant_conv": False, "use_quant_conv": False, "_name_or_path": "../sdxl-vae/",
    "mid_block_add_attention": True,
}  # fmt: skip
FORMER = {
    "activation_fn": "gelu-approximate", "attention_bias": True, "attention_head_dim": 72, "cross_attention_dim": None,
    "dropout": 0.0, "in_channels": 4, "norm_elementwise_affine": False, "norm_num_groups": 32,
    "norm_type": "ada_norm_zero", "num_attention_heads": 16, "num_embeds_ada_norm": 1000, "num_layers": 28,
    "num_vector_embeds": None, "only_cross_attention": False, "out_channels": 8, "patch_size": 2, "sample_size": 32,
    "upcast_attention": False, "use_linear_projection": False, "_class_name": "Transformer2DModel",
}  # fmt: skip
PIXART = FORMER | {
    "attention_type": "default", "caption_channels": 4096, "cross_attention_dim": 1152, "double_self_attention": False,
    "norm_eps": 1e-06, "norm_type": "ada_norm_single", "sample_size": 128, "interpolation_scale": 2,
    "use_additional_conditions": False,
}  # fmt: skip
SD3 = {
    "attention_head_dim": 64, "caption_projection_dim": 1536, "dual_attention_layers": list(range(13)),
    "in_channels": 16, "joint_attention_dim": 4096, "num_attention_heads": 24, "num_layers": 24, "out_channels": 16,
    "patch_size": 2, "pooled_projection_dim": 2048, "pos_embed_max_size": 384, "qk_norm": "rms_norm",
    "sample_size": 128,
}  # fmt: skip
FLUX = {
    "attention_head_dim": 128, "axes_dims_rope": [16, 56, 56], "guidance_embeds": True, "in_channels": 64,
    "joint_attention_dim": 4096, "num_attention_heads": 24, "num_layers": 19, "num_single_layers": 38, "patch_size": 1,
    "pooled_projection_dim": 768,
}  # fmt: skip
NETWORKS = {
    "google/ddpm-cifar10-32": ("UNet2DModel", PIXEL),
    "Stable Diffusion 1.4 and 1.5": ("UNet2DConditionModel", UNET),
    "Stable Diffusion 2.1": ("UNet2DConditionModel", UNET_2),
    "SDXL, base and refiner": ("UNet2DConditionModel", UNET_XL),
    "autoencoder of 2022": ("AutoencoderKL", KL),
    "autoencoder of SD3": ("AutoencoderKL", KL_3),
    "facebook/DiT-XL-2-256": ("DiTTransformer2DModel", FORMER),
    "PixArt": ("PixArtTransformer2DModel", PIXART),
    "SD3": ("SD3Transformer2DModel", SD3),
    "FLUX.1": ("FluxTransformer2DModel", FLUX),
}
CLIP = {
    "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"], "attention_dropout": 0.0,
    "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": 768,
    "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12, "num_hidden_layers": 12,
    "pad_token_id": 1, "projection_dim": 768, "torch_dtype": "float32", "transformers_version": "4.22.0.dev0",
    "vocab_size": 49408,
}  # fmt: skip
T5 = {
    "architectures": ["T5EncoderModel"], "classifier_dropout": 0.0, "d_ff": 10240, "d_kv": 64, "d_model": 4096,
    "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.1, "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0, "is_encoder_decoder": True, "is_gated_act": True,
    "layer_norm_epsilon": 1e-06, "model_type": "t5", "num_decoder_layers": 24, "num_heads": 64, "num_layers": 24,
    "output_past": True, "pad_token_id": 0, "relative_attention_max_distance": 128, "task_specific_params": {},
    "relative_attention_num_buckets": 32, "tie_word_embeddings": False, "torch_dtype": "float16", "n_positions": 512,
    "transformers_version": "4.21.1", "use_cache": True, "vocab_size": 32128,
}  # fmt: skip
# Of 2022 too: all that transformers 4 then knew, written out.
LONG = CLIP | {
    "_commit_hash": None, "add_cross_attention": False, "bad_words_ids": None, "begin_suppress_tokens": None,
    "chunk_size_feed_forward": 0, "cross_attention_hidden_size": None, "decoder_start_token_id": None,
    "diversity_penalty": 0.0, "do_sample": False, "early_stopping": False, "encoder_no_repeat_ngram_size": 0,
    "exponential_decay_length_penalty": None, "finetuning_task": None, "forced_bos_token_id": None,
    "forced_eos_token_id": None, "id2label": {}, "is_decoder": False, "is_encoder_decoder": False, "label2id": {},
    "length_penalty": 1.0, "max_length": 20, "min_length": 0, "no_repeat_ngram_size": 0, "num_beam_groups": 1,
    "num_beams": 1, "num_return_sequences": 1, "output_attentions": False, "output_hidden_states": False,
    "output_scores": False, "prefix": None, "problem_type": None, "pruned_heads": {}, "remove_invalid_values": False,
    "repetition_penalty": 1.0, "return_dict": True, "return_dict_in_generate": False, "sep_token_id": None,
    "suppress_tokens": None, "task_specific_params": None, "temperature": 1.0, "tf_legacy_loss": False,
    "tie_encoder_decoder": False, "tie_word_embeddings": True, "tokenizer_class": None, "top_k": 50, "top_p": 1.0,
    "torchscript": False, "typical_p": 1.0, "use_bfloat16": False,
}  # fmt: skip
ENCODERS = {
    "Stable Diffusion 1.5": ("CLIPTextModel", CLIP),
    "SDXL, second": ("CLIPTextModelWithProjection", CLIP | {"architectures": ["CLIPTextModelWithProjection"]}),
    "written out": ("CLIPTextModel", LONG),
    "SD3, Flux, PixArt": ("T5EncoderModel", T5),
}
INDICES = {
    "StableDiffusionPipeline": {"requires_safety_checker": True, "unet": ["diffusers", "UNet2DConditionModel"]},
    "StableDiffusionXLPipeline": {"force_zeros_for_empty_prompt": True, "add_watermarker": None},
    "StableDiffusionXLImg2ImgPipeline": {"requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False},
    "DiTPipeline": {"id2label": {"0": "tench"}},
    "DDPMPipeline": {"_module": "somewhere"},
}


@pytest.mark.parametrize("kind, config", NETWORKS.values(), ids=NETWORKS)
def test_networks_of_the_hub_are_accepted(kind, config):
    made = getattr(diffusers, kind)
    config = {"_class_name": kind, "_diffusers_version": "0.2.2"} | config
    check_network(config, made, "config.json")
    with pytest.raises(UserError, match=f"shift = 3 is not known to {kind}"):
        check_network(config | {"shift": 3}, made, "config.json")


@pytest.mark.parametrize("kind, config", ENCODERS.values(), ids=ENCODERS)
def test_text_encoders_of_the_hub_are_accepted(kind, config):
    made = getattr(transformers, kind)
    check_text(config, made, "config.json")
    for changed in ({"rotary": True}, {"add_cross_attention": True}):
        with pytest.raises(UserError, match=f"{next(iter(changed))} = .* is not known to {kind}"):
            check_text(config | changed, made, "config.json")


@pytest.mark.parametrize("kind, index", INDICES.items(), ids=INDICES)
def test_settings_of_pipelines_of_the_hub_are_accepted(kind, index):
    check_index({"_class_name": kind, "_diffusers_version": "0.2.2"} | index, getattr(diffusers, kind), "here")


def test_what_an_average_brings_with_it_is_accepted():
    network = tiny.unconditional()
    averaged = diffusers.training_utils.EMAModel(
        network.parameters(), model_cls=type(network), model_config=network.config
    )
    state = averaged.state_dict()
    state.pop("shadow_params")
    check_network(dict(network.config) | state, type(network), "config.json")


def test_every_class_accepts_what_it_writes():
    for name in ("AutoencoderKL", "VQModel", "UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel"):
        check_network(defaults(getattr(diffusers, name)), getattr(diffusers, name), "config.json")


@pytest.mark.parametrize(
    "changes", [{"num_vector_embeds": 16}, {"use_linear_projection": True}, {"caption_channels": 8}]
)
def test_what_a_former_class_had_and_the_present_one_has_not(changes):
    with pytest.raises(UserError, match="is not known to DiTTransformer2DModel"):
        check_network(FORMER | changes, diffusers.DiTTransformer2DModel, "config.json")


@pytest.mark.parametrize("family", ["dit", "pixart"])
def test_a_model_under_its_former_class_is_the_same_model(tmp_path, family):
    folder = tiny.save(family, tmp_path / "model")
    former = shutil.copytree(folder, tmp_path / "former")
    for name, change in (
        ("model_index.json", lambda value: value | {"transformer": ["diffusers", "Transformer2DModel"]}),
        (
            "transformer/config.json",
            lambda value: value | {"_class_name": "Transformer2DModel", "num_vector_embeds": None},
        ),
    ):
        path = former / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
    kind = type(diffusers.Transformer2DModel.from_pretrained(former / "transformer"))
    now, then = load_target(folder), load_target(former)
    assert type(then.network) is kind is type(now.network)
    state = then.network.state_dict()
    assert all((value == state[key]).all() for key, value in now.network.state_dict().items())


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "part, changes, says",
    [
        ("unet/config.json", {"rope": 1}, "rope = 1 is not known to UNet2DConditionModel"),
        ("vae/config.json", {"normalise": True}, "normalise = True is not known to AutoencoderKL"),
        ("text_encoder/config.json", {"clip_skip": 2}, "clip_skip = 2 is not known to CLIPTextModel"),
        (
            "text_encoder/config.json",
            {"_attn_implementation": "some/kernel"},
            "_attn_implementation = 'some/kernel' is",
        ),
        (
            "text_encoder/config.json",
            {"transformers_weights": "x.safetensors"},
            "transformers_weights = .* is refused",
        ),
        ("text_encoder/config.json", {"auto_map": {"AutoModel": "x.X"}}, "auto_map = .* is refused"),
        ("scheduler/scheduler_config.json", {"offset_noise": 0.1}, "offset_noise = 0.1 is not known to PNDMScheduler"),
        ("model_index.json", {"clip_skip": 2}, "clip_skip = 2 is not known to StableDiffusionPipeline"),
        ("scheduler/scheduler_config.json", {"use_flow_sigmas": True}, "use_flow_sigmas"),
    ],
)
def test_a_key_that_is_not_known_is_refused_in_every_part(tmp_path, part, changes, says):
    folder = tiny.save("stable diffusion", tmp_path / "model")
    edit(folder / part, **changes)
    with pytest.raises(UserError, match=says) as caught:
        load_target(folder)
    assert "\n" not in str(caught.value)


TOLD = {
    "class_embed_type": ("timestep", {}),
    "num_class_embeds": (10, {}),
    "addition_embed_type": ("image", {}),
    "encoder_hid_dim_type": ("text_image_proj", {}),
}


@pytest.mark.parametrize("key", TOLD)
def test_a_network_that_is_told_more_is_refused_by_name(key):
    config = defaults(diffusers.UNet2DConditionModel)
    check_asked(config, "UNet2DConditionModel", "Stable Diffusion")
    with pytest.raises(UserError, match=f"{key} .* is not supported"):
        check_asked(config | {key: TOLD[key][0]}, "UNet2DConditionModel", "Stable Diffusion")
    with pytest.raises(UserError, match="addition_embed_type"):
        check_asked(config, "UNet2DConditionModel", "SDXL")


def test_every_pipeline_on_the_list_is_one_of_diffusers():
    for name, family in FAMILIES.items():
        parts = {
            family.network[0]: ["diffusers", family.network[1]],
            family.autoencoder: ["diffusers", "AutoencoderKL"],
        }
        flow = "FlowMatchEulerDiscreteScheduler" if family.flow else "DDIMScheduler"
        check({"_class_name": name, "scheduler": ["diffusers", flow], **parts}, family)
        assert issubclass(getattr(diffusers, name), diffusers.DiffusionPipeline)


def test_what_a_library_says_that_it_drops_is_heeded(tmp_path):
    logger = logging.getLogger("diffusers.pipelines.some")
    with heeded(tmp_path):
        logger.warning("advice")
    with pytest.raises(UserError, match=r"would be dropped .Argument `x` will be ignored"), heeded(tmp_path):
        logger.warning("Argument `x` will be ignored")
