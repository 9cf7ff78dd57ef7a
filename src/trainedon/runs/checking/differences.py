"""Where two JSON values differ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

# What earlier versions did not say: entries that a document of protocol standard-2 may lack, but not say wrongly.
LATER = ("verdict", "alike")
CLOSE = 1e-9  # relative; the last digits of a number may differ between machines


def differences(stored: object, now: object, place: str = "") -> Iterator[str]:
    """Where two JSON values differ, in words."""
    if isinstance(stored, dict) and isinstance(now, dict):
        now = _as_listed_before(stored, now)
        for key in {**now, **stored}:
            if key not in stored and key in LATER:
                continue
            yield from differences(stored.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for i, (first, second) in enumerate(zip(stored, now, strict=True)):
            yield from differences(first, second, f"{place}[{i}]")
    elif not _same(stored, now):
        yield f"{place} is {_brief(stored)}, the scores give {_brief(now)}"


def _as_listed_before(stored: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """What holds a list that earlier versions wrote whole, where `stored` has it whole: what the bound leaves out is no
    difference, if it is as many as it says."""
    left_out, whole, part = now.get("n_not_listed"), stored.get("pictures"), now.get("pictures")
    if "n_not_listed" in stored or not left_out or not isinstance(whole, list) or not isinstance(part, list):
        return now
    if len(whole) != len(part) + left_out:
        return now
    return {key: value for key, value in now.items() if key != "n_not_listed"} | {"pictures": part + whole[len(part) :]}


def _same(stored: object, now: object) -> bool:
    if isinstance(stored, bool) or isinstance(now, bool):
        return stored == now
    if isinstance(stored, int | float) and isinstance(now, int | float):
        return math.isclose(stored, now, rel_tol=CLOSE, abs_tol=1e-12)
    return stored == now


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
