"""What is wrong with a command line by itself, whatever it is about."""

from __future__ import annotations

from pathlib import Path

from hostile.cases import hostile


@hostile("does not exist")
def a_model_that_is_not_there(place: Path) -> list[str]:
    (place / "pictures").mkdir()
    return ["audit", "nowhere/", "pictures", "--out", "run"]


SECRET = "https://me:hunter2@127.0.0.1:1/x?token=hunter3"


def _without_secret(place: Path, *arguments: str) -> list[str]:
    (place / "pictures").mkdir()
    return [*arguments, "--out", "run"]


@hostile("https://127.0.0.1:1/x does not exist")
def a_model_at_an_address_with_a_password(place: Path) -> list[str]:
    return _without_secret(place, "audit", SECRET, "pictures")


@hostile("has a password or a token in it, which a run would keep")
def an_encoder_at_an_address_with_a_password(place: Path) -> list[str]:
    return _without_secret(place, "audit", "nowhere", "pictures", "--attacks", f"drc(encoder=clip:{SECRET})")


@hostile("https:/127.0.0.1:1/x is not a run folder")
def a_run_at_an_address_with_a_password(place: Path) -> list[str]:
    return ["verify", SECRET]


@hostile("is an address, and this is written to this disk")
def a_draw_to_an_address(place: Path) -> list[str]:
    (place / "pictures").mkdir()
    return ["draw", "pictures", "--out", SECRET]


@hostile("file name too long")
def an_output_with_a_name_that_no_disk_takes(place: Path) -> list[str]:
    (place / "pictures").mkdir()
    return ["audit", "nowhere", "pictures", "--out", "x" * 5000]


@hostile("device 'meta' cannot be used here")
def a_device_that_holds_nothing(place: Path) -> list[str]:
    (place / "pictures").mkdir()
    return ["audit", "nowhere", "pictures", "--device", "meta", "--out", "run"]


@hostile("lasts no longer than this command")
def an_output_that_nobody_finds_again(place: Path) -> list[str]:
    (place / "pictures").mkdir()
    return ["audit", "nowhere", "pictures", "--out", "memory://run"]
