"""What may stand in a configuration: for each key the type, and how large it may be.

Bounds are far beyond every model that was published, and far below what would take a machine's memory or hours, so that
a configuration can be built from at no risk once it has passed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from trainedon.errors import UserError

MOST_STEPS = 10_000  # timesteps; published models have up to 4 000
MOST_KEYS = 1000  # of a configuration; the longest on the hub have 110


@dataclass(frozen=True)
class Rule:
    """says: what may stand there, in words. fits: whether a value is that."""

    says: str
    fits: Callable[[object], bool]

    def __or__(self, other: Rule) -> Rule:
        return Rule(f"{self.says}, or {other.says}", lambda value: self.fits(value) or other.fits(value))


def whole(low: int, high: int) -> Rule:
    """`true` is no 1, and 8.0 no 8: what libraries make of those differs from version to version."""
    return Rule(f"a whole number from {low:,} to {high:,}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float) -> Rule:
    """A finite number. NaN compares false."""
    return Rule(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= cast(float, value) <= high,
    )


def listed(rule: Rule, most: int, least: int = 0) -> Rule:
    """A list, or, of defaults, a tuple."""
    size = f"a list of {least} to {most:,}" if least != most else f"a list of {most}"
    return Rule(
        f"{size}, each {rule.says}",
        lambda value: isinstance(value, list | tuple) and least <= len(value) <= most and all(map(rule.fits, value)),
    )


def one_of(*values: object) -> Rule:
    shown = ", ".join("nothing" if value is None else str(value) for value in values)
    return Rule(
        f"one of {shown}",
        lambda value: any(type(value) is type(one) and value == one for one in values),
    )


def text(most: int) -> Rule:
    return Rule(f"a text of at most {most:,} letters", lambda value: isinstance(value, str) and len(value) <= most)


def small(values: int, depth: int = 4) -> Rule:
    """Any JSON, for what has no say."""
    return Rule(f"at most {values:,} values, {depth} deep", lambda value: _size(value, values, depth) <= values)


def _size(value: object, most: int, depth: int) -> float:
    """How many values there are; infinity where there are more than `most`, or one is out of all bounds."""
    if isinstance(value, dict | list | tuple):
        if depth == 0 or len(value) > most:
            return math.inf
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return 1 + sum(_size(one, most, depth - 1) for one in inner)
    if isinstance(value, str):
        return 1 if len(value) <= 10_000 else math.inf
    return math.inf if isinstance(value, int) and abs(value) > 2**64 else 1


WORD = Rule("a name", lambda value: isinstance(value, str) and re.fullmatch(r"[\w./+ -]{1,100}", value) is not None)
FLAG = one_of(True, False)
UNSET = one_of(None)
COUNT, WIDTH, SHARE, FACTOR = whole(1, 1024), whole(1, 65_536), number(0, 1), number(1e-6, 1e6)
LAYERS = whole(1, 64)
EACH_WIDTH, EACH_COUNT = WIDTH | listed(WIDTH, 16), COUNT | listed(COUNT, 16)
LEVELS = listed(WORD, 16)
LABELS = small(20_001, 1)
ACTIVATION = one_of(
    "silu", "swish", "mish", "gelu", "relu", "geglu", "gelu-approximate", "geglu-approximate", "swiglu", "linear-silu",
    "gelu_new", "quick_gelu", "gelu_fast", "gelu_pytorch_tanh", "gelu_python",
)  # fmt: skip
_SIDE = whole(1, 1024)

# Of networks and autoencoders of diffusers.
NETWORKS: dict[str, Rule] = {
    "act_fn": ACTIVATION,
    "activation_fn": ACTIVATION,
    "add_attention": FLAG,
    "addition_embed_type": WORD,
    "addition_embed_type_num_heads": COUNT,
    "addition_time_embed_dim": WIDTH,
    "attention_bias": FLAG,
    "attention_head_dim": EACH_WIDTH,
    "attention_type": WORD,
    "attn_norm_num_groups": COUNT,
    "axes_dims_rope": listed(COUNT, 3, 3),
    "block_out_channels": listed(WIDTH, 16, 1),
    "caption_channels": WIDTH,
    "caption_projection_dim": WIDTH,
    "center_input_sample": FLAG,
    "class_embed_type": WORD,
    "class_embeddings_concat": FLAG,
    "conv_in_kernel": whole(1, 31),
    "conv_out_kernel": whole(1, 31),
    "cross_attention_dim": EACH_WIDTH,
    "cross_attention_norm": WORD,
    "double_self_attention": FLAG,
    "down_block_types": LEVELS,
    "downsample_padding": whole(0, 8),
    "downsample_type": WORD,
    "dropout": SHARE,
    "dual_attention_layers": listed(whole(0, 255), 256),
    "dual_cross_attention": FLAG,
    "encoder_hid_dim": WIDTH,
    "encoder_hid_dim_type": WORD,
    "flip_sin_to_cos": FLAG,
    "force_upcast": FLAG,
    "freq_shift": number(-8, 8),
    "guidance_embeds": FLAG,
    "in_channels": COUNT,
    "interpolation_scale": number(1e-3, 1e3),
    "joint_attention_dim": WIDTH,
    "latent_channels": COUNT,
    "latents_mean": listed(number(-1e6, 1e6), 1024),
    "latents_std": listed(FACTOR, 1024),
    "layers_per_block": LAYERS | listed(LAYERS, 16),
    "lookup_from_codebook": FLAG,
    "mid_block_add_attention": FLAG,
    "mid_block_only_cross_attention": FLAG,
    "mid_block_scale_factor": FACTOR,
    "mid_block_type": WORD,
    "norm_elementwise_affine": FLAG,
    "norm_eps": SHARE,
    "norm_num_groups": COUNT,
    "norm_type": WORD,
    "num_attention_heads": EACH_COUNT,
    "num_class_embeds": whole(1, 10_000_000),
    "num_embeds_ada_norm": whole(1, 10_000_000),
    "num_layers": whole(1, 256),
    "num_single_layers": whole(0, 256),
    "num_train_timesteps": whole(1, MOST_STEPS),
    "num_vector_embeds": whole(1, 10_000_000),
    "num_vq_embeddings": whole(1, 10_000_000),
    "only_cross_attention": FLAG | listed(FLAG, 16),
    "out_channels": COUNT,
    "patch_size": whole(1, 64),
    "pooled_projection_dim": WIDTH,
    "pos_embed_max_size": _SIDE,
    "projection_class_embeddings_input_dim": WIDTH,
    "qk_norm": WORD,
    "resnet_out_scale_factor": FACTOR,
    "resnet_skip_time_act": FLAG,
    "resnet_time_scale_shift": WORD,
    "reverse_transformer_layers_per_block": listed(LAYERS | listed(LAYERS, 64), 16),
    "sample_size": _SIDE | listed(_SIDE, 2, 2),
    "scaling_factor": FACTOR,
    "shift_factor": number(-1e6, 1e6),
    "time_cond_proj_dim": WIDTH,
    "time_embedding_act_fn": ACTIVATION,
    "time_embedding_dim": WIDTH,
    "time_embedding_type": WORD,
    "timestep_post_act": ACTIVATION,
    "transformer_layers_per_block": LAYERS | listed(LAYERS | listed(LAYERS, 64), 16),
    "up_block_types": LEVELS,
    "upcast_attention": FLAG,
    "upsample_type": WORD,
    "use_additional_conditions": FLAG,
    "use_linear_projection": FLAG,
    "use_post_quant_conv": FLAG,
    "use_quant_conv": FLAG,
    "vq_embed_dim": WIDTH,
}
# Of one class, where others differ.
OF_CLASS: dict[tuple[str, str], Rule] = {
    ("AutoencoderKL", "sample_size"): whole(1, 8192) | listed(whole(1, 8192), 2, 2),
    ("VQModel", "sample_size"): whole(1, 8192) | listed(whole(1, 8192), 2, 2),
}
# Of text encoders of transformers; what is not here has no say, and is `ASIDE`.
TEXTS: dict[str, Rule] = {
    "vocab_size": whole(1, 2_000_000),
    "hidden_size": WIDTH,
    "d_model": WIDTH,
    "d_kv": WIDTH,
    "d_ff": whole(1, 2**20),
    "intermediate_size": whole(1, 2**20),
    "projection_dim": whole(0, 65_536),
    "num_hidden_layers": whole(1, 256),
    "num_layers": whole(1, 256),
    "num_decoder_layers": whole(0, 256),
    "num_attention_heads": COUNT,
    "num_heads": COUNT,
    "max_position_embeddings": WIDTH,
    "n_positions": WIDTH,
    "relative_attention_num_buckets": WIDTH,
    "relative_attention_max_distance": WIDTH,
    "hidden_act": ACTIVATION,
    "dense_act_fn": ACTIVATION,
    "feed_forward_proj": one_of(
        "relu", "gelu", "silu", "gelu_new", "gated-gelu", "gated-silu", "gated-relu", "gated-gelu_new"
    ),
    "is_gated_act": FLAG,
    "scale_decoder_outputs": FLAG,
    "layer_norm_eps": SHARE,
    "layer_norm_epsilon": SHARE,
    "initializer_range": number(0, 1e6),
    "initializer_factor": number(0, 1e6),
    "attention_dropout": SHARE,
    "dropout": SHARE,
    "dropout_rate": SHARE,
    "classifier_dropout": SHARE,
    "pad_token_id": whole(-1, 2_000_000),
    "bos_token_id": whole(-1, 2_000_000),
    "eos_token_id": whole(-1, 2_000_000),
    "num_labels": whole(0, 10_000),
    "id2label": LABELS,
    "label2id": LABELS,
    "chunk_size_feed_forward": one_of(0),
    "model_type": one_of("clip_text_model", "clip", "t5", "mt5"),
    "torch_dtype": one_of("float32", "float16", "bfloat16", "torch.float32", "torch.float16", "torch.bfloat16"),
    "dtype": one_of("float32", "float16", "bfloat16", "torch.float32", "torch.float16", "torch.bfloat16"),
    "problem_type": one_of("regression", "single_label_classification", "multi_label_classification"),
    "use_cache": FLAG,
    "is_encoder_decoder": FLAG,
    "return_dict": FLAG,
    "use_return_dict": FLAG,
    "output_attentions": FLAG,
    "output_hidden_states": FLAG,
    "torchscript": FLAG,
}
TEXTS_UNSET = ("pad_token_id", "bos_token_id", "id2label", "label2id")  # which may be nothing, though they seldom are
# Of tokenizers. A length without bound is written as a number with 30 digits, which T5's have and CLIP's have not.
MOST_TOKENS = 20_000  # that are added to a vocabulary
TOKEN = text(1000) | Rule(
    "a token with its flags", lambda value: isinstance(value, dict) and text(1000).fits(value.get("content"))
)
TOKEN_ID = whole(0, 2_000_000)
TOKENIZERS: dict[str, Rule] = {
    "model_max_length": whole(1, 10**31) | one_of(1e30),
    "tokenizer_class": WORD,
    "extra_ids": whole(0, MOST_TOKENS),
    "additional_special_tokens": listed(TOKEN, MOST_TOKENS),
    "extra_special_tokens": listed(TOKEN, MOST_TOKENS) | small(MOST_TOKENS, 3),
    "added_tokens_decoder": Rule(
        "a table of tokens by their numbers",
        lambda value: (
            isinstance(value, dict)
            and len(value) <= MOST_TOKENS
            and all(re.fullmatch(r"\d{1,7}", key) for key in value)
            and all(map(TOKEN.fits, value.values()))
        ),
    ),
    "chat_template": text(2**20) | small(10_000),
    **dict.fromkeys(
        ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"), TOKEN
    ),
    **dict.fromkeys(("do_lower_case", "add_prefix_space", "legacy", "clean_up_tokenization_spaces"), FLAG),
}
TOKEN_SETTING = small(10_000)
# Of schedulers: what the path follows from; and, of samplers, numbers that something is made as long as.
SCHEDULERS: dict[str, Rule] = {
    "num_train_timesteps": whole(2, MOST_STEPS),
    "beta_start": SHARE,
    "beta_end": SHARE,
    "beta_schedule": WORD,
    "trained_betas": listed(SHARE, MOST_STEPS, 2),
    "rescale_betas_zero_snr": FLAG,
    "prediction_type": WORD,
    "shift": number(1e-3, 1e3),
    "use_dynamic_shifting": FLAG,
    "base_shift": number(-100, 100),
    "max_shift": number(-100, 100),
    "base_image_seq_len": whole(1, 10_000_000),
    "max_image_seq_len": whole(1, 10_000_000),
    "time_shift_type": WORD,
    "solver_order": whole(1, 16),
    "original_inference_steps": whole(1, MOST_STEPS),
    "steps_offset": whole(-MOST_STEPS, MOST_STEPS),
    "disable_corrector": listed(whole(0, MOST_STEPS), MOST_STEPS),
    "lambda_min_clipped": number(-math.inf, 1e6),
}
# Of `model_index.json`: its parts, and its settings, which are switches, and a table of classes' names.
INDEX_PART = listed(WORD | UNSET, 2, 2)
INDEX_SETTINGS = {"id2label": Rule("a table of names", lambda value: isinstance(value, dict) and LABELS.fits(value))}
# What has no say in anything that is asked here.
ASIDE = small(MOST_KEYS)
# Keys of every configuration that libraries write, whichever the class.
PRIVATE: dict[str, Rule] = {
    "_class_name": WORD,
    "_diffusers_version": text(100),
    "_name_or_path": text(4096),
    "_commit_hash": text(100) | UNSET,
    "_use_default_values": listed(text(100), 200) | UNSET,
    "_attn_implementation_autoset": FLAG,
}
# Keys that would have a library fetch, run or read something else, by whatever value.
REFUSED = re.compile(
    r"_*(attn|attention|experts)_implementation(_internal)?|auto_?map|trust_remote_code|custom_pipeline|custom_pipelines"
    r"|(pre_)?quantization.*|.*quantization_config|_pre_quantization_dtype|transformers_weights|.*kernel(s|_config)"
    r"|sub_configs|adapters?|adapter_.*|peft_config|pruned_heads|_auto_class|code_revision|base_model_.*_plan"
)


def check_size(config: object, path: Path | str, most: int = MOST_KEYS) -> None:
    """Raises UserError for a configuration that is no table, or one of more keys than any has."""
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no table of keys and values: the model folder is damaged")
    if len(config) > most:
        raise UserError(f"{path} has {len(config):,} keys, which no configuration has: it is damaged")


def check_private(config: Mapping[str, object], path: Path) -> None:
    """Raises UserError for a key that would have something fetched or run, and for a private one of a wrong type."""
    for key, value in config.items():
        if REFUSED.fullmatch(key) and value not in (None, False) and value != {}:
            raise UserError(
                f"{path}: {named(key)} = {shown(value)} is refused: it would have a library read, fetch or run what "
                "nobody checked; remove it if the model is the same without"
            )
        if key.startswith("_"):
            check_value(path, key, value, PRIVATE.get(key, ASIDE))


def check_value(path: Path, key: str, value: object, rule: Rule, unset: bool = False) -> None:
    """Raises UserError when a value is none that may stand for a key. unset: whether it may be left open."""
    if not (rule.fits(value) or (unset and value is None)):
        raise UserError(f"{path}: {named(key)} = {shown(value)} is refused: it must be {rule.says}")


def named(key: str) -> str:
    """A key in a line."""
    return key if WORD.fits(key) else shown(key)


def shown(value: object) -> str:
    """A value in a line, cut short before it is written out, for it may be of any size."""
    if isinstance(value, list | tuple | dict) and _size(value, 50, 4) > 50:
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to write out more than 4 300 digits
        return "a number of more than 40 digits"
    said = repr(value[:60] if isinstance(value, str) else value)
    return said if len(said) <= 40 else f"{said[:37]}..."
