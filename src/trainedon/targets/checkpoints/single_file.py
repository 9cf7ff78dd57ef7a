"""A model in one file, as people download it: tensors by their original names, and configurations from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.targets.checkpoints.checkpoint import Checkpoint
from trainedon.targets.checkpoints.converted import skeleton_of, state_of, unknown
from trainedon.targets.checkpoints.designs import Design, Tokenizer
from trainedon.targets.checkpoints.recognised import design_of, remarks, schedule
from trainedon.targets.networks.families import (
    FAMILIES,
    Family,
    Opened,
    check,
    parts_of,
)
from trainedon.targets.reading import configs
from trainedon.targets.reading.bounds import Held, check_memory
from trainedon.targets.reading.built import worded
from trainedon.targets.reading.components import check_finite, heeded, made_scheduler, weighted
from trainedon.targets.reading.model_files import WEIGHTS, brief, shown, there, weights_of
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.schedulers import check_scheduler
from trainedon.targets.reading.vocabulary import check_words, tokenizer

# Tensors that have no say in what the model answers, or none that is not in the configuration.
ASIDE = re.compile(
    r"^model_ema\.|^(alphas_cumprod(_prev)?|betas|sqrt_\w+|log_one_minus_alphas_cumprod|posterior_\w+|lvlb_weights|"
    r"logvar|global_step|v_pred|ztsnr|denoiser\.sigmas)$|^first_stage_model\.loss\.|(^|\.)position_ids$|"
    r"(^|\.)logit_scale$|\.attn_mask$"
)
VOCABULARY = ("tokenizer.json", "vocab.json", "spiece.model")


def open_single(
    path: Path, base: Path | None, settled: Callable[[Callable[[], Mapping[str, int]]], torch.dtype]
) -> tuple[Opened, str, tuple[str, ...]]:
    """The pipeline in a safetensors file, its digest, and what a reader should know of it.

    base: a diffusers folder, or as much of one as is needed: what it has of configurations comes before the published
    ones, and parts that the file lacks are taken from it, tokenizers always. settled: the type of the numbers, given
    what says how many of each type, as safetensors calls it, the file holds. Raises UserError for a file that is none
    of the models on the list, for a tensor that is missing, misshapen or not known, and where something is needed of
    `base`.
    """
    with opened_single(path, base) as single, heeded(path):
        dtype = settled(single.file.kinds)
        built = {part: single.build(part, dtype) for part in single.design.parts if part not in single.absent}
        built |= {part: single.tokenizer(part, built) for part in single.tokenizers}
        kind, config = single.scheduler
        built["scheduler"] = made_scheduler(getattr(import_module("diffusers"), kind), config)
        absent = dict.fromkeys(single.design.absent + single.absent)
        try:
            pipeline = getattr(import_module("diffusers"), single.design.pipeline)(**built, **absent, **single.settings)
            pipeline.set_progress_bar_config(disable=True)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise UserError(f"{path}: the parts do not make a {single.design.pipeline} ({brief(error)})") from None
        opened = Opened(single.family, pipeline, config)
        configs.check_asked(dict(opened.network.config), single.family.network[1], single.family.title)
        return opened, single.digest(), single.notes()


def single_digest(path: Path, base: Path | None) -> str:
    """The digest of a model in one file, without loading its weights."""
    with opened_single(path, base) as single:
        return single.digest()


@contextmanager
def opened_single(path: Path, base: Path | None) -> Iterator[SingleFile]:
    """The file, open inside the block, and where each part of its model comes from. Raises UserError; see
    `open_single`."""
    file = Checkpoint.open(path)
    try:
        with Ledger(*([] if base is None else [base])) as files:
            yield SingleFile.of(file, base, files)
    finally:
        file.close()


@dataclass(frozen=True)
class SingleFile:
    """A file, and where each part of its model comes from.

    files: those of `base`. held: of the parts that are in the file, the names of their tensors, by what follows the
    beginning that they share. absent: parts that the model is without, as `base` says. index: that of `base`, if it
    has one.
    """

    file: Checkpoint
    files: Ledger
    base: Path | None
    index: Mapping[str, Any]
    design: Design
    held: Mapping[str, Mapping[str, str]]
    absent: tuple[str, ...]
    scheduler: tuple[str, dict[str, Any]]

    @classmethod
    def of(cls, file: Checkpoint, base: Path | None, files: Ledger) -> SingleFile:
        """Reads of `base` what is JSON. Raises UserError; see `open_single`."""
        design, prefix = design_of(file, base, files)
        index = _index(files, base, design)
        held = _held(file, design, prefix)
        for part in (*design.parts, *design.tokenizers):
            _check_there(part, file, base, index, design, held)
        nulls = tuple(
            part for part in design.parts if part not in held and index.get(part) == [None, None] and _optional(part)
        )
        nulls += tuple(name for name, words in design.tokenizers.items() if words.encoder in nulls)
        kind, given = design.scheduler[0], None
        if base is not None and there(base / "scheduler" / "scheduler_config.json"):
            place = base / "scheduler" / "scheduler_config.json"
            given = files.json(place)
            named = parts_of(index).get("scheduler") or (None, None)
            kind = str(named[1] or given.get("_class_name") or kind)
            known = FAMILIES[design.pipeline].classes("scheduler")
            if known is None or kind not in known[1]:
                raise UserError(f"{base}: scheduler {kind} is not supported for {design.title}")
            check_scheduler(given, getattr(import_module("diffusers"), kind), place)
        return cls(file, files, base, index, design, held, nulls, (kind, schedule(file, design, kind, given, base)))

    @property
    def family(self) -> Family:
        return FAMILIES[self.design.pipeline]

    @property
    def tokenizers(self) -> tuple[str, ...]:
        return tuple(name for name in self.design.tokenizers if name not in self.absent)

    @property
    def settings(self) -> dict[str, Any]:
        return {key: self.index.get(key, value) for key, value in self.design.settings.items()}

    def config(self, part: str) -> tuple[dict[str, Any], bool]:
        """A part's configuration, and whether it is the published one."""
        if self.base is not None and there(self.base / part / "config.json"):
            of, path = self.design.parts[part], self.base / part / "config.json"
            config, kind = self.files.json(path), getattr(import_module(of.kind[0]), of.kind[1])
            (configs.check_network if of.diffusers else configs.check_text)(config, kind, path)
            return config, False
        config = dict(self.design.parts[part].config)
        if part == "unet" and not self.design.predicts and self.scheduler[1].get("prediction_type") == "v_prediction":
            config["sample_size"] = 96  # Stable Diffusion 2 of 768 pixels
        return config, True

    def build(self, part: str, dtype: torch.dtype) -> nn.Module:
        """A part with all its weights, from the file, or else from `base`."""
        of = self.design.parts[part]
        kind = getattr(import_module(of.kind[0]), of.kind[1])
        precise = torch.float32 if part == self.family.autoencoder else dtype
        if part not in self.held:
            assert self.base is not None
            return weighted(self.files, self.base / part, kind, precise)
        config, published = self.config(part)
        place = f"{self.file.path.name} ({part})"
        said_by = place if published else f"{self.base}/{part}/config.json"
        held = Held.of(self.file.shapes[name] for name in self.held[part].values())
        skeleton = skeleton_of(kind, of, config, said_by, held)
        check_memory(skeleton, precise, place)
        state = state_of(self.file, self.design, part, self.held[part], skeleton, precise)
        if of.diffusers:
            skeleton.load_state_dict(state, strict=True, assign=True)
            network = skeleton.eval()
        else:
            network, _ = worded(kind, skeleton.config, state, precise)
        check_finite(network, Path(place))
        return network

    def tokenizer(self, part: str, built: Mapping[str, Any]) -> Any:
        """From `base`. Raises UserError where it is not the encoder's."""
        assert self.base is not None
        words, encoder = self.design.tokenizers[part], built[self.design.tokenizers[part].encoder].config
        kind = parts_of(dict(self.index)).get(part, (None, words.kind))[1]
        folder = self.base / part
        found = tokenizer(self.files, folder, getattr(import_module("transformers"), kind))
        check_words(found, encoder, folder)
        if self.config(words.encoder)[1] and words.encoder in self.held:
            _check_published(found, folder, words, encoder)
        return found

    def digest(self) -> str:
        """Over the file, and all else that decides the answers: configurations, and what comes from `base`."""
        lines = [f"file {self.file.sha256()}", f"pipeline {self.design.pipeline} {_canonical(self.settings)}"]
        lines.append(f"scheduler {self.scheduler[0]} {_canonical(self.scheduler[1])}")
        taken: list[Path] = []
        for part, of in self.design.parts.items():
            if part in self.held:
                lines.append(f"{part} {_canonical(self.config(part)[0])}")
            elif part not in self.absent:
                assert self.base is not None
                name = WEIGHTS if of.diffusers else "model"
                taken += [self.base / part / "config.json", *weights_of(self.files, self.base / part, name).files]
        for part in self.tokenizers:
            assert self.base is not None
            taken += self.files.listed(self.base / part)
        base = Path() if self.base is None else self.base.absolute()
        for path in sorted({path.absolute() for path in taken}):
            lines.append(f"{path.relative_to(base)} {self.files.sha256(path)}")
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def notes(self) -> tuple[str, ...]:
        """What came from where, and what else a reader should know."""
        base = self.base.resolve().name if self.base else ""
        parts = [part for part in self.design.parts if part not in self.absent]
        own = [part for part in parts if part in self.held]
        published = [part for part in own if self.config(part)[1]]
        given = self.base is not None and there(self.base / "scheduler" / "scheduler_config.json")
        published += [] if given else ["scheduler"]
        taken = [part for part in parts if part not in self.held] + list(self.tokenizers)
        said = [f"weights of {', '.join(own)} are from {self.file.path.name}, {', '.join(taken)} from {base}"]
        if published:
            said.append(
                f"{', '.join(published)}: configured as {self.design.title} was published, which the file cannot say"
            )
        return (*said, *remarks(self.file))


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def _optional(part: str) -> bool:
    """Whether pipelines do without: Stable Diffusion 3 was also trained without its largest text encoder."""
    return part == "text_encoder_3"


def _index(files: Ledger, base: Path | None, design: Design) -> dict[str, Any]:
    if base is None:
        return {}
    if not base.is_dir():
        raise UserError(f"--base {base} is no folder: give a diffusers folder of {design.title}, such as {design.hub}")
    if not there(base / "model_index.json"):
        return {}
    index = files.json(base / "model_index.json")
    name = str(index.get("_class_name"))
    wanted = FAMILIES[design.pipeline]
    if FAMILIES.get(name) is not wanted:
        raise UserError(f"--base {base} is a {name}, and the file holds {design.title}: give the folder of that model")
    check(index, wanted)
    return index


def _held(file: Checkpoint, design: Design, prefix: str) -> dict[str, dict[str, str]]:
    """Of each part in the file its tensors. Raises UserError for one that belongs to none."""
    beginnings = {one: part for part, of in design.parts.items() for one in of.prefixes if part != design.network}
    held: dict[str, dict[str, str]] = {}
    strangers = []
    for name in sorted(file.shapes):
        if ASIDE.search(name):
            continue
        begins = next((one for one in beginnings if name.startswith(one)), None)
        if begins is not None:
            names = held.setdefault(beginnings[begins], {})
            if names.setdefault(name.removeprefix(begins), name) != name:
                raise UserError(f"{file.path.name} holds {shown(name)} twice, under two beginnings: it is damaged")
        elif name.startswith(prefix):
            held.setdefault(design.network, {})[name.removeprefix(prefix)] = name
        else:
            strangers.append(name)
    file.check(name for names in held.values() for name in names.values())
    if strangers:
        file.check(strangers)
        raise unknown(file, design, strangers[0], len(strangers) - 1)
    return held


def _check_there(
    part: str, file: Checkpoint, base: Path | None, index: Mapping[str, Any], design: Design, held: Mapping[str, Any]
) -> None:
    """Raises UserError where a part is neither in the file nor in `base`, saying how to give it."""
    words = design.tokenizers.get(part)
    if part in held or (index.get(part) == [None, None] and _optional(words.encoder if words else part)):
        return
    needed = VOCABULARY if words else ("config.json",)
    if base is not None and any(there(base / part / name) for name in needed):
        return
    what = f"vocabulary ({part})" if words else part
    wanted = [f"{one}/*" for one in (*design.parts, *design.tokenizers) if one not in held]
    wanted += [] if design.predicts else ["scheduler/*", f"{design.network}/config.json"]
    asked = " ".join(f"--include '{one}'" for one in wanted)
    raise UserError(
        f"{file.path.name} holds no {what}, as files of {design.title} often do not"
        f"{'' if base is None else f', and --base {base} has none either'}: give with --base DIR its diffusers folder, "
        f"or what `hf download {design.hub} {asked} --local-dir DIR` fetches of it"
    )


def _check_published(found: Any, folder: Path, words: Tokenizer, encoder: Any) -> None:
    """Raises UserError for a tokenizer that is not that of the text encoder as it was published."""
    size, known = len(found), encoder.vocab_size
    if words.kind.startswith("CLIP") and size != known:
        raise UserError(f"{folder} knows {size} words, and the text encoder {known}: it is another model's")
    if found.pad_token != words.pad:
        raise UserError(
            f"{folder} fills captions up with {found.pad_token!r}, and the text encoder was trained with "
            f"{words.pad!r}: it is another model's"
        )
