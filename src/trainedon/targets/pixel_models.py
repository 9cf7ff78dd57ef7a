"""Models in pixel space: a UNet2DModel with its scheduler, as a pipeline or by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainedon.errors import UserError
from trainedon.targets.core.device import batched
from trainedon.targets.core.identity import Identity
from trainedon.targets.core.path import NoisePath, prediction_of
from trainedon.targets.core.row_memory import Memory
from trainedon.targets.core.target import Target
from trainedon.targets.distilled import distilled, noted
from trainedon.targets.networks.families import FAMILIES
from trainedon.targets.networks.footprint import fit
from trainedon.targets.networks.unet import PixelUNet, open_unet, shape_of
from trainedon.targets.reading import configs
from trainedon.targets.reading.layouts import INDEX, SCHEDULER, Layout, scheduler_near
from trainedon.targets.reading.model_files import shown, there, weights_of
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.schedulers import SCHEDULERS, check_scheduler

SUPPORTED = "pixel-space pipelines with a UNet2DModel (DDPM, DDIM and alike), bare UNet2DModel folders, " + ", ".join(
    FAMILIES
)


def pixel_target(files: Ledger, layout: Layout, name: str, how: dict[str, Any]) -> Target:
    """The target of a folder that holds a UNet2DModel, alone or in a pipeline. how: as `batched` takes it.

    Raises UserError when it is not a model that is supported, and as the reading of its files does.
    """
    import diffusers  # late, as it takes seconds

    if layout.index is not None:
        _check(layout.index, layout.root)
    folder = layout.network or layout.folder("unet")
    unet, config = open_unet(files, folder)
    place, kind, notes = _scheduler_of(files, layout)
    scheduler = {} if place is None else files.json(place)
    if place is not None:
        check_scheduler(scheduler, getattr(diffusers, kind), place)
    scheduler = configs.effective(scheduler)
    why = distilled(kind, scheduler, config, "pixel", [name])
    identity = Identity(
        name=name,
        digest=files.digest(layout.root, pixel_files(files, layout)),
        family="pixel UNet2DModel" + (", class-conditional" if config.get("num_class_embeds") else ""),
        parameters=sum(parameter.numel() for parameter in unet.parameters()),
        notes=(*layout.notes, *notes, *noted(why)),
        distilled=why,
    )
    target = PixelUNet(
        identity=identity,
        shape=shape_of(config),
        path=NoisePath.from_scheduler(scheduler, kind),
        prediction=prediction_of(scheduler),
        classes=config.get("num_class_embeds"),
        network=unet,
        **batched(how, shape_of(config), unet),
    )
    fit(target, Memory.of(target.device))
    return target


def pixel_files(files: Ledger, layout: Layout) -> list[Path]:
    """The files that decide the answers of a pixel model."""
    folder = layout.network or layout.folder("unet")
    place, _, _ = _scheduler_of(files, layout)
    beside = [layout.root / INDEX, layout.root / "scheduler" / SCHEDULER, *([place] if place else [])]
    return [*filter(there, beside), folder / "config.json", *weights_of(files, folder).files]


def _check(index: dict[str, Any], root: Path) -> None:
    """Raises UserError when a pipeline has a part, or a setting, that is not on the list."""
    parts = {key: value for key, value in index.items() if not key.startswith("_") and isinstance(value, list)}
    if parts.get("unet") != ["diffusers", "UNet2DModel"] or set(parts) - {"unet", "scheduler"}:
        named = [f"{key[:40]}: {'.'.join(map(str, value))[:80]}" for key, value in sorted(parts.items())]
        described = ", ".join(map(shown, named[:10])) + (f" and {len(named) - 10} more" if len(named) > 10 else "")
        family = shown(str(index.get("_class_name", "unknown")))
        raise UserError(f"pipelines of class {family} ({described}) are not supported yet: give one of {SUPPORTED}")
    if "scheduler" in index:
        _scheduler_named(index)
    import diffusers

    configs.check_index(index, diffusers.DDPMPipeline, root / INDEX)


def _scheduler_named(index: dict[str, Any]) -> str:
    """The class of the scheduler that a pixel pipeline names. Raises UserError when it is not on the list."""
    named = index["scheduler"]
    if named not in [["diffusers", name] for name in SCHEDULERS]:
        described = ".".join(map(str, named)) if isinstance(named, list) else str(named)
        raise UserError(f"scheduler {shown(described)} is not supported: one of {', '.join(sorted(SCHEDULERS))}")
    return str(named[1])


def _scheduler_of(files: Ledger, layout: Layout) -> tuple[Path | None, str, list[str]]:
    """The configuration of a pixel model's scheduler, its class, and what is to be said of it: of the pipeline, or else
    what lies near the network."""
    if layout.index is not None and "scheduler" in layout.index:
        return layout.folder("scheduler") / SCHEDULER, _scheduler_named(layout.index), []
    place = scheduler_near(files, layout.network or layout.folder("unet"), layout.root.absolute())
    if place is None:
        assumed = "no scheduler beside the network: linear betas 1e-4 to 0.02, T = 1000, epsilon were assumed"
        return None, "DDPMScheduler", [assumed]
    kind = files.json(place).get("_class_name", "DDPMScheduler")
    if not isinstance(kind, str) or kind not in SCHEDULERS:
        raise UserError(
            f"{place}: scheduler {shown(str(kind))} is not supported: one of {', '.join(sorted(SCHEDULERS))}"
        )
    where = Path(os.path.relpath(place, layout.network or layout.folder("unet"))).as_posix()
    return place, kind, [f"no model_index.json names a scheduler: {where} beside the network was read ({kind})"]
