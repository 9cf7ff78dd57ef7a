"""How strongly a file says that its changes count: alpha and rank, from wherever they stand."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, field
from typing import Any

import regex

from trainedon.errors import UserError
from trainedon.reading import json_of
from trainedon.targets.reading import schema

# What says how an adapter was trained, or repeats what its tensors show.
_NO_SAY = {
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "task_type",
    "inference_mode",
    "peft_version",
    "peft_type",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "megatron_core",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "runtime_config",
    "ensure_weight_tying",
    "qalora_group_size",
    "rank_dropout",
    "module_dropout",
    "rank_dropout_scale",
    "decompose_both",
    "decompose_factor",
    "use_effective_conv2d",
    "fan_in_fan_out",
    "velora_config",
}
_READ = {"r", "lora_alpha", "alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "bias", "lora_bias"}
_READ |= {"modules_to_save", "init_lora_weights", "init_weights"}
# Initialisations that leave the model's own weights alone; the others subtract from them what the adapter begins with.
_PLAIN = (True, False, None, "gaussian", "eva", "orthogonal", "lycoris")


SECONDS = 5.0
MOST_EXPRESSIONS = 256
_NAME = re.compile(r"[\w.-]{1,400}")
_EXPRESSION = re.compile(r"[\w.\\^$*+?|()\[\]-]{1,400}")
_NUMBER = schema.number(-1e9, 1e9)


@dataclass(frozen=True)
class Patterns:
    """Numbers by what layers' names end with: a name, which is looked up, or a regular expression, as peft has them,
    of which some would run for years: all of an adapter's together are given SECONDS."""

    names: dict[str, float] = field(default_factory=dict)
    others: list[tuple[Any, float]] = field(default_factory=list)
    spent: list[float] = field(default_factory=lambda: [0.0])

    @classmethod
    def of(cls, pattern: dict[str, float], where: str) -> Patterns:
        """Raises UserError for one that cannot be read."""
        names = {key: value for key, value in pattern.items() if _NAME.fullmatch(key)}
        others = {key: value for key, value in pattern.items() if key not in names}
        if len(others) > MOST_EXPRESSIONS:
            raise UserError(f"{where} has {len(others):,} patterns: {MOST_EXPRESSIONS} are read beside plain names")
        compiled = []
        for key, value in others.items():
            try:
                if not _EXPRESSION.fullmatch(key):
                    raise regex.error("signs that no name of a layer needs")
                compiled.append((regex.compile(rf"(.*\.)?({key})$"), value))
            except (regex.error, RecursionError) as error:
                raise UserError(f"{where}: the pattern {key[:60]!r} is not read ({error})") from None
        return cls(names, compiled)

    def value(self, layer: str, otherwise: float) -> float:
        """That of the pattern that a layer's name ends with. Peft takes the first, and sorts them when it saves, so
        that of several nobody knows which it trained with. Raises ValueError then, and where matching takes too long.
        """
        parts = layer.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        found = {self.names[end] for end in ends if end in self.names}
        found |= {value for pattern, value in self.others if self._matches(pattern, layer)}
        if len(found) > 1:
            raise ValueError(f"patterns that disagree ({', '.join(f'{value:g}' for value in sorted(found))})")
        return found.pop() if found else otherwise

    def _matches(self, pattern: Any, layer: str) -> bool:
        began = time.perf_counter()
        try:
            return pattern.match(layer, timeout=max(1e-3, SECONDS - self.spent[0])) is not None
        except TimeoutError:
            raise ValueError(
                f"the pattern {pattern.pattern[7:67]!r} takes too long: write names in its place"
            ) from None
        finally:
            self.spent[0] += time.perf_counter() - began


@dataclass(frozen=True)
class Scales:
    """What a configuration of peft says. dora: whether magnitudes belong to it. saves: whether whole weights or biases
    may. Raises UserError for what it does not say clearly, or what is not done here."""

    r: int
    alpha: float
    ranks: Patterns = field(default_factory=Patterns)
    alphas: Patterns = field(default_factory=Patterns)
    stabilised: bool = False
    dora: bool = False
    saves: bool = False

    @classmethod
    def read(cls, config: dict[str, Any], where: str) -> Scales:
        schema.check_size(config, where)
        kind = config.get("peft_type") or "LORA"
        if kind not in ("LORA", "LOHA", "LOKR"):
            raise UserError(
                f"{where}: adapters of peft's type {schema.named(str(kind))} are not read: LORA, LOHA and LOKR are"
            )
        start = config.get("init_lora_weights", config.get("init_weights"))
        if start not in _PLAIN:
            raise UserError(
                f"{where}: the adapter was begun by {schema.shown(start)}, which may change the model's own weights: "
                "save it with peft's path_initial_model_for_weight_conversion, which makes a plain LoRA of it"
            )
        unknown = sorted(key for key, value in config.items() if key not in _NO_SAY | _READ and value)
        if unknown:
            raise UserError(
                f"{where} sets {schema.named(unknown[0])}, which changes the adapter and is not read: it is refused"
            )
        alpha = config.get("lora_alpha", config.get("alpha"))
        patterns = [config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")]
        numbers = [config.get("r"), alpha, *(value for pattern in patterns for value in _values(pattern, where))]
        if not all(map(_NUMBER.fits, numbers)):
            raise UserError(f"{where} does not give r and lora_alpha as numbers: the adapter's scale is not known")
        if not all(n > 0 for n in (config["r"], *patterns[0].values())):
            raise UserError(f"{where} gives a rank that is not above 0: the adapter's scale is not known")
        saves = bool(config.get("modules_to_save")) or config.get("bias", "none") != "none"
        flags = {"stabilised": bool(config.get("use_rslora")), "dora": bool(config.get("use_dora")), "saves": saves}
        ranks, alphas = (Patterns.of(pattern, where) for pattern in patterns)
        return cls(config["r"], float(alpha), ranks, alphas, **flags)  # type: ignore[arg-type]

    def scale(self, layer: str, rank: int | None) -> float:
        """alpha / r, or alpha / sqrt(r), of a layer. Raises ValueError when its tensors are of another rank."""
        r, alpha = self.ranks.value(layer, self.r), self.alphas.value(layer, self.alpha)
        if rank is not None and rank != r:
            raise ValueError(f"a rank of {rank}, where the configuration says {r}")
        return alpha / (math.sqrt(r) if self.stabilised else r)


def _values(pattern: Any, where: str) -> list[Any]:
    if not isinstance(pattern, dict):
        raise UserError(f"{where}: rank_pattern and alpha_pattern are no tables: the adapter's scale is not known")
    return list(pattern.values())


def of_diffusers(metadata: dict[str, str], where: str) -> dict[str, Scales]:
    """For each part, what diffusers wrote into the file's own header."""
    text = metadata.get("lora_adapter_metadata")
    if text is None:
        return {}
    flat = json_of(text.encode("utf-8", "surrogatepass"), f"{where}: the header's lora_adapter_metadata")
    schema.check_size(flat, f"{where}: the header's lora_adapter_metadata", most=4 * schema.MOST_KEYS)
    parts = {key.partition(".")[0] for key in flat}
    return {
        part: Scales.read(
            {key.removeprefix(f"{part}."): value for key, value in flat.items() if key.startswith(f"{part}.")}, where
        )
        for part in sorted(parts)
    }


def of_kohya(metadata: dict[str, str], wide: bool, rank: int) -> float | None:
    """The scale of a layer whose file lacks alphas, from what kohya's scripts wrote into its header; None where that
    says nothing. wide: whether the layer is a convolution over several places. Raises ValueError where it is unclear.
    """
    if "ss_network_alpha" not in metadata:
        return None
    try:
        arguments = json.loads(metadata.get("ss_network_args") or "{}") or {}
        said: tuple[Any, Any] = metadata["ss_network_alpha"], metadata.get("ss_network_dim")
        if any(key.startswith("block_") for key in arguments):
            raise ValueError
        if wide and "conv_dim" in arguments:
            said = arguments.get("conv_alpha", 1), arguments["conv_dim"]
        alpha, r = float(said[0]), float(rank if said[1] is None else said[1])
        root = str(arguments.get("rs_lora", False)).lower() in ("true", "1")
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        raise ValueError("no alpha, and a header that does not say it clearly: save it with its alphas") from None
    if r != rank:
        raise ValueError(f"a rank of {rank}, where the header says {r:g}")
    return (alpha or r) / (math.sqrt(r) if root else r)
