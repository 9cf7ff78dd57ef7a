"""Which keys of a configuration have a say, and what may stand there. diffusers and transformers pass over keys that
they do not know; here such a key is refused by name, unless it is known to change no answer. What any key may be is in
`schema`; all is checked before anything is built."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

from trainedon.errors import UserError
from trainedon.targets.reading import schema
from trainedon.targets.reading.layouts import LEGACY

# What diffusers' EMAModel adds to the configuration of the network that it averages.
AVERAGING = {"decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"}
# Of transformers 4: what generation and training heads take, which text encoders have no use for; see also `_generic`.
GENERIC = {
    "architectures", "begin_suppress_tokens", "cross_attention_hidden_size", "decoder_start_token_id", "dropout",
    "dtype", "finetuning_task", "gradient_checkpointing", "is_composition", "num_labels", "output_attentions",
    "output_hidden_states", "output_past", "prefix", "return_dict", "sep_token_id", "task_specific_params",
    "tf_legacy_loss", "tie_encoder_decoder", "tokenizer_class", "torch_dtype", "torchscript", "transformers_version",
    "use_bfloat16", "use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "n_positions", "vocab_size",
}  # fmt: skip
# Of transformers 4 too, and with a say: no text encoder of a pipeline has another value.
NEUTRAL_THERE: dict[str, object] = {
    "add_cross_attention": False, "is_decoder": False, "pruned_heads": {}, "tie_word_embeddings": None,
    "quantization_config": None,
}  # fmt: skip


@cache
def defaults(kind: Any) -> dict[str, Any]:
    """The parameters of a diffusers class with their defaults."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return {one.name: one.default for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}


def effective(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what diffusers does not read of it."""
    unread = config.get("_use_default_values") or []
    unread = unread if isinstance(unread, list) else []
    return {key: value for key, value in config.items() if not key.startswith("_") and key not in unread}


@cache
def _may_be_unset(kind: Any, key: str) -> bool:
    """Whether a class takes `None` for a parameter, by what its signature says; of keys that it has not, always."""
    known = inspect.signature(kind.__init__).parameters.get(key)
    return known is None or known.default is None or any(word in str(known.annotation) for word in ("None", "Optional"))


def check_network(config: dict[str, Any], kind: type, path: Path) -> None:
    """Raises UserError when the configuration of a network or autoencoder has a key that its class does not know, or a
    value that cannot stand there."""
    import diffusers  # late, as it takes seconds

    schema.check_size(config, path)
    schema.check_private(config, path)
    known, former = defaults(kind).keys() | AVERAGING, {}
    if config.get("_class_name") == LEGACY and kind.__name__ != LEGACY:  # of the class that it was part of
        former = defaults(getattr(diffusers, LEGACY)) | {"attention_type": "default"}
    for key, value in effective(config).items():
        if key not in known and not (key in former and _says_nothing(key, value, former[key])):
            raise unknown(path, key, value, kind)
        rule = schema.OF_CLASS.get((kind.__name__, key)) or schema.NETWORKS.get(key, schema.ASIDE)
        schema.check_value(path, key, value, rule, _may_be_unset(kind, key))


def _says_nothing(key: str, value: object, usual: object) -> bool:
    """Whether a key that the present class has left behind is as it was by default, or unset."""
    return value is None or value == usual


def check_text(config: dict[str, Any], kind: Any, path: Path) -> None:
    """The same of a text encoder of transformers."""
    schema.check_size(config, path)
    schema.check_private(config, path)
    made = kind.config_class
    usual = made().to_dict()
    known = usual.keys() | made.attribute_map.keys() | GENERIC | _generic()
    for key, value in config.items():
        neutral = key in NEUTRAL_THERE and (not value or key == "tie_word_embeddings")
        if not (key.startswith("_") or neutral or (key in known and key not in NEUTRAL_THERE)):
            raise unknown(path, key, value, kind)
        unset = usual.get(made.attribute_map.get(key, key)) is None or key in schema.TEXTS_UNSET
        schema.check_value(path, key, value, schema.TEXTS.get(key, schema.ASIDE), unset)


@cache
def _generic() -> set[str]:
    """What transformers 4 wrote into every configuration: how text is generated."""
    from transformers import GenerationConfig

    return set(GenerationConfig().to_dict())


def check_index(index: dict[str, Any], kind: type, path: Path) -> None:
    """Raises UserError when `model_index.json` has a setting that the pipeline's class does not know, or a part that is
    no library and class."""
    schema.check_size(index, path)
    schema.check_private(index, path)
    for key, value in effective(index).items():
        if not isinstance(value, list) and key not in defaults(kind):
            raise unknown(path, key, value, kind)
        rule = schema.INDEX_PART if isinstance(value, list) else schema.INDEX_SETTINGS.get(key, schema.FLAG)
        schema.check_value(path, key, value, rule, unset=True)


def check_tokenizer(config: dict[str, Any], path: Path) -> None:
    """Raises UserError when one of a tokenizer's files of settings (`tokenizer_config.json`, `special_tokens_map.json`,
    `added_tokens.json`) would have something fetched or run, or holds a value that cannot stand there."""
    schema.check_size(config, path, schema.MOST_TOKENS)
    schema.check_private(config, path)
    added = path.name == "added_tokens.json"
    for key, value in config.items():
        rule = schema.TOKEN_ID if added else schema.TOKENIZERS.get(key, schema.TOKEN_SETTING)
        schema.check_value(path, key, value, rule, unset=not added)


def check_asked(config: dict[str, Any], kind: str, family: str) -> None:
    """Raises UserError when a network is told what no adapter here tells it. config: with its defaults."""
    allowed: dict[str, tuple[Any, ...]] = {}
    if kind == "UNet2DConditionModel":
        added = ("text_time",) if family == "SDXL" else (None, "text")
        allowed = {"class_embed_type": (None,), "num_class_embeds": (None,), "addition_embed_type": added}
        allowed["encoder_hid_dim_type"] = (None, "text_proj")
    elif kind == "UNet2DModel":
        allowed = {"class_embed_type": (None,) if config.get("num_class_embeds") else (None, "None")}
    for key, values in allowed.items():
        if config.get(key) not in values:
            raise UserError(
                f"{key} {config[key]!r} is not supported: the network is told more than {family} models are, and what "
                "it was told in training is not known"
            )


def unknown(path: Path, key: str, value: object, kind: type) -> UserError:
    """A configuration has a key that `kind` does not know."""
    return UserError(
        f"{path}: {schema.named(key)} = {schema.shown(value)} is not known to {kind.__name__}: what it changes "
        "cannot be honoured; remove it if it changes nothing"
    )
