"""One part of a pipeline, built from its own folder: all of it, and nothing that is passed over in silence."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainedon.errors import UserError
from trainedon.targets.reading import configs
from trainedon.targets.reading.bounds import check_memory
from trainedon.targets.reading.built import blank, check_room, filled, held_by, read_all, refuse_packed, worded
from trainedon.targets.reading.layouts import SCHEDULER
from trainedon.targets.reading.model_files import WEIGHTS, brief, check_tensors, shown, weights_of
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.schedulers import check_scheduler
from trainedon.targets.reading.tensors import Tensors


@contextmanager
def quiet() -> Iterator[None]:
    """Without the advice and the progress bars that the libraries print while they build parts: what matters of it is
    checked here, and a run shows progress of its own."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    levels = [(logging, logging.get_verbosity(), logging.is_progress_bar_enabled()) for logging in (ours, theirs)]
    try:
        for logging, _, _ in levels:
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logging, level, shown in levels:
            logging.set_verbosity(level)
            if shown:
                logging.enable_progress_bar()


# What libraries say of input that has no say with them, though it is there.
DROPPED = re.compile(r"ignored|not used|not expected|(newly|randomly) initialized", re.IGNORECASE)
# Who says it of configurations and weights, each key of which is checked here.
CHECKED = ("configuration_utils", "modeling_utils", "loading_report")


class _Kept(logging.Handler):
    """Keeps what is logged of input that was dropped."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if DROPPED.search(said) and not record.name.endswith(CHECKED):
            self.said.append(said)


@contextmanager
def heeded(folder: Path) -> Iterator[None]:
    """Inside the block nothing is printed, and what a library says that it drops of the model in `folder` is an error.

    Raises UserError for that.
    """
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    kept = _Kept()
    with quiet():
        before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
        try:
            for logger in loggers:
                logger.handlers = [kept]
                logger.setLevel(logging.WARNING)
            yield
        finally:
            for logger, handlers, level in before:
                logger.handlers = handlers
                logger.setLevel(level)
    if kept.said:
        raise UserError(f"{folder}: part of the model would be dropped ({' '.join(kept.said[0].split())[:200]})")


def scheduler(files: Ledger, folder: Path, kind: type) -> Any:
    """A scheduler of diffusers."""
    config = files.json(folder / SCHEDULER)
    check_scheduler(config, kind, folder / SCHEDULER)
    return made_scheduler(kind, config)


def made_scheduler(kind: Any, config: dict[str, Any]) -> Any:
    """A scheduler of diffusers, from its configuration. Raises UserError when that describes none."""
    try:
        return kind.from_config(config)
    except Exception as error:  # noqa: BLE001 (samplers raise what comes up when numbers make no schedule)
        raise UserError(
            f"the model's noise schedule cannot be read ({brief(error)}): check scheduler_config.json"
        ) from None


# What a tower of words may leave of the weights that it was cut out of: pictures' tower, heads, numbers of places.
BESIDE_WORDS = re.compile(
    r"vision_model\.|visual_projection\.|text_projection\.|logit_scale|decoder\.|lm_head\.|.*position_ids$"
)

ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


def weighted(files: Ledger, folder: Path, kind: type, dtype: torch.dtype) -> nn.Module:
    """A network with its weights, all of them; a tower of words may leave those of what stood beside it."""
    _check_no_adapter(folder)
    place = folder / "config.json"
    config = files.json(place)
    ours = issubclass(kind, import_module("diffusers").ModelMixin)
    weights = weights_of(files, folder, WEIGHTS if ours else "model")
    refuse_packed(folder, config)
    (configs.check_network if ours else configs.check_text)(config, kind, place)
    check_tensors(files, weights, exact=ours)
    shards = [files.tensors(path) for path in weights.files]
    network = blank(kind, config, place, held_by(shards))
    try:
        check_room(network, shards)
        check_memory(network, dtype, place)
        if ours:
            network = filled(network, kind, config, shards, dtype)
            network.register_to_config(_name_or_path=str(folder))  # type: ignore[operator]
        else:
            network = _worded(folder, kind, network.config, shards, dtype)
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, OSError) as error:
        raise UserError(f"{folder}: the weights do not fit the configuration ({brief(error)})") from None
    check_finite(network, folder)
    return network


def _worded(folder: Path, kind: type, config: Any, shards: list[Tensors], dtype: torch.dtype) -> nn.Module:
    network: nn.Module
    network, told = worded(kind, config, read_all(shards, dtype), dtype)
    surplus = [key for key in sorted(told["unexpected_keys"]) if not BESIDE_WORDS.match(key)]
    wrong = [*told["missing_keys"], *told["mismatched_keys"], *surplus]
    if wrong:
        raise UserError(f"{folder}: the weights do not fit the configuration (first: {shown(str(wrong[0]))})")
    return network


def _check_no_adapter(folder: Path) -> None:
    """Raises UserError when an adapter lies in a part's folder: transformers would put it into the weights unasked."""
    adapter = next((name for name in ADAPTER if (folder / name).exists()), None)
    if adapter is not None:
        raise UserError(
            f"{folder} holds an adapter ({adapter}) too: move its files to a folder of their own, and give that with "
            "--adapter if it is to be fused"
        )


def check_finite(network: nn.Module, folder: Path) -> None:
    """Raises UserError when a weight is not a finite number."""
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not _finite(value):
            raise UserError(f"{folder}: the weights hold NaN or infinity (first in {key}): the model cannot be audited")


def _finite(value: torch.Tensor) -> bool:
    """Whether all are numbers. One look at the sum, in which NaN and infinity stay, takes a tenth of the time; only
    where that is none, which very large numbers make too, each is looked at."""
    return bool(torch.isfinite(value.sum(dtype=torch.float32))) or bool(torch.isfinite(value).all())
