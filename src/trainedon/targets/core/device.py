"""Where a model works, and how many rows go through it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from trainedon.errors import UserError
from trainedon.targets.core.batching import PAD, Batching, power_of_two

ROWS = {"cpu": 32}  # what lies in a processor's cache is soon at hand: more rows take longer, each (docs/speed.md)
ROWS_ELSEWHERE = 64
MOST_NUMBERS = 2**27  # 512 MiB, of which a network holds several
# Weights of a network whose single row keeps a processor busy: more rows at once take as long each, and copies that
# fill a batch up would take as long as pictures. Stable Diffusion has three times as many.
LARGE = 2**28


def chosen(device: str) -> torch.device:
    """A device by its name; `auto`: a graphics card that works, the first kind of these, or the processor. Raises
    UserError for one that cannot be used."""
    if device == "auto":
        device = next((kind for kind in ("cuda", "mps") if _works(kind)), "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0]}): try --device cpu"
        ) from None
    return chosen


def _works(device: str) -> bool:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True


def usual_precision(device: torch.device, kinds: Mapping[str, int], bfloat16: bool | None = None) -> str:
    """In what a network is computed where nobody says: on CUDA in the half precision in which most of its weights are
    stored, as they are no finer; else in float32.

    kinds: numbers of each type, as safetensors calls it. bfloat16: whether the device computes in it; None: it is
    asked. Eight bits are numbers of bfloat16, too.
    """
    if device.type != "cuda" or not kinds:
        return "float32"
    most = max(kinds, key=lambda kind: kinds[kind])
    if most == "F16":
        return "float16"
    if most not in ("BF16", "F8_E4M3", "F8_E5M2"):
        return "float32"
    if bfloat16 is None:
        with torch.cuda.device(device):
            bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if bfloat16 else "float32"  # float16 has not its range


def batched(how: dict[str, Any], shape: tuple[int, int, int], network: Any) -> dict[str, Any]:
    """What a target takes of how it is loaded, `rows` and `compiled` as a Batching.

    how: device, rows (None: what is fastest on most networks), precision, compiled, and what else a target takes.
    """
    device, large = how["device"], sum(one.numel() for one in network.parameters()) >= LARGE
    rows = how["rows"] or (1 if large and device.type == "cpu" else _rows(device, shape, network))
    unit = PAD
    if large:
        unit = min(PAD, power_of_two(rows)) if device.type == "cpu" else 1
    others = {key: value for key, value in how.items() if key not in ("rows", "compiled")}
    return others | {"batching": Batching(rows, how["compiled"], unit=unit)}


def _rows(device: torch.device, shape: tuple[int, int, int], network: Any) -> int:
    """How many rows go through a network at once where nobody said: fewer where each fills much memory, which on a
    processor ends the process and is no error that it could heed."""
    if device.type not in ROWS:
        return ROWS_ELSEWHERE
    widths = getattr(network.config, "block_out_channels", None) or (1,)
    numbers = shape[1] * shape[2] * widths[0]  # of what a row is turned into at its full size
    return max(PAD, min(ROWS[device.type], MOST_NUMBERS // numbers // PAD * PAD))
