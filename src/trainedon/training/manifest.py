"""Which pictures a model is trained on, drawn at random and on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np
import torch

from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.noise import generator
from trainedon.pictures import Batch, Item, Rendering, scan, shown, take_inventory
from trainedon.pictures.pixels.rendering import DEFAULT
from trainedon.training.families.lesson import NEEDED
from trainedon.training.our_folders import MANIFEST, check_ours, read_object


class Drawn(TypedDict):
    """One picture that could be drawn: name, digest, whether it is a member, and what the model is conditioned on."""

    picture: str
    sha256: str
    member: bool
    label: NotRequired[int | None]
    caption: NotRequired[str | None]


class Manifest(TypedDict):
    """`manifest.json`: what a model was trained on. members: how many. rendering: where it is not the default."""

    seed: int
    members: int
    pictures: list[Drawn]
    rendering: NotRequired[dict[str, str]]


def draw_members(
    source: str | Path,
    out: Path,
    *,
    draw: int | None,
    seed: int,
    condition: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    rendering: Rendering = DEFAULT,
    follow_links: bool = False,
) -> Manifest:
    """Draw `draw` members (None: all) from the usable pictures of `source` and write `out/manifest.json`.

    The manifest holds the seed and, for every picture, name, sha256 and whether it is a member; the others are known to
    be unseen. condition: `label` or `caption`, when it is to hold that as well, and every member must have one. A
    manifest that is there already must agree. Raises UserError when there are too few pictures.
    """
    items = take_inventory(scan(source, follow_links=follow_links), "member", progress=progress, rendering=rendering)
    usable = items.take(items.usable)
    count = len(usable) if draw is None else draw
    if not 1 <= count <= len(usable):
        raise UserError(
            f"{count} members cannot be drawn from {len(usable)} pictures that can be used in {shown(source)}"
        )
    chosen = np.zeros(len(usable), dtype=bool)
    chosen[generator(seed, "members").choice(len(usable), count, replace=False)] = True
    if condition is not None and any(one is None for one in usable.take(np.flatnonzero(chosen)).values(condition)):
        raise UserError(NEEDED[condition])
    return write_manifest(out, usable, chosen, seed, condition, rendering)


def write_manifest(
    out: Path,
    pictures: Sequence[Item],
    members: np.ndarray,
    seed: int,
    condition: str | None = None,
    rendering: Rendering = DEFAULT,
) -> Manifest:
    """`out/manifest.json`: seed, number of members, and of each picture name, sha256 and whether it is a member.

    members: bool (n,). rendering: recorded where it is not the default.
    Raises UserError when there is a manifest already and it says something else, and as `check_ours`.
    """
    manifest = {
        "seed": seed,
        "members": int(members.sum()),
        "pictures": [
            {"picture": item.picture, "sha256": item.sha256, "member": member}
            | ({} if condition is None else {condition: getattr(item, condition)})
            for item, member in zip(pictures, members.tolist(), strict=True)
        ],
    } | ({"rendering": rendering.said()} if rendering.said() else {})
    path = out / MANIFEST
    check_ours(out)
    earlier = read_object(path) if path.exists() else manifest
    if earlier != manifest:
        raise UserError(f"{out} was begun with other pictures, another seed or another draw: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, manifest)
    return cast(Manifest, manifest)


def read_members(
    source: str | Path, manifest: Manifest, size: int, channels: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The members' pixels, float32 (n, c, size, size) in [-1, 1], and labels int64 (n,) if every picture has one."""
    names = {row["picture"] for row in manifest["pictures"] if row["member"]}
    batch = read_named(source, names, size, channels, Rendering(**manifest.get("rendering", {})))
    return batch.pixels, batch.labels


def read_named(
    source: str | Path,
    names: set[str],
    size: int,
    channels: int,
    rendering: Rendering = DEFAULT,
    follow_links: bool = False,
) -> Batch:
    """The pictures of these names, in the order of the source."""
    listed = scan(source, follow_links=follow_links)
    pictures = [entry.read(rendering) for entry in listed if entry.name in names]
    return Batch.from_pictures(pictures, (size, size), channels, rendering, ())
