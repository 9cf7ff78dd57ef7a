"""A LoRA, or another adapter, on top of a latent model."""

from __future__ import annotations

import json
from pathlib import Path

from trainedon.errors import UserError
from trainedon.targets.families import Opened, check_finite, quiet
from trainedon.targets.files import brief


@quiet()
def adapt(opened: Opened, folder: Path) -> None:
    """Fuse a LoRA, or another adapter of peft's, into the pipeline's own weights.

    folder: holds `pytorch_lora_weights.safetensors`, as diffusers saves them, or another single safetensors file of a
    LoRA; or `adapter_config.json` and `adapter_model.safetensors`, as peft saves them. Raises UserError when it holds
    neither, or what it holds does not fit.
    """
    try:
        if (folder / "adapter_config.json").is_file():
            from peft import PeftModel

            merged = PeftModel.from_pretrained(opened.network, str(folder)).merge_and_unload()
            setattr(opened.pipeline, opened.family.network[0], merged)
        elif not hasattr(opened.pipeline, "load_lora_weights"):
            raise UserError(f"{folder}: for this family save the adapter with peft (adapter_config.json beside it)")
        else:
            opened.pipeline.load_lora_weights(
                str(folder), weight_name=adapter_file(folder).name, use_safetensors=True, local_files_only=True
            )
            opened.pipeline.fuse_lora()
            opened.pipeline.unload_lora_weights()
    except ImportError:
        raise UserError("adapters need one more package: pip install peft") from None
    except (OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError, json.JSONDecodeError) as error:
        raise UserError(f"{folder}: the adapter does not fit the model ({brief(error)})") from None
    check_finite(opened.network, folder)


def adapter_file(folder: Path) -> Path:
    """The safetensors of an adapter. Raises UserError when there is none, or no telling which."""
    for name in ("adapter_model.safetensors", "pytorch_lora_weights.safetensors"):
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if len(found) != 1:
        raise UserError(
            f"{folder} holds no adapter: give the folder with pytorch_lora_weights.safetensors, or with peft's "
            "adapter_config.json and adapter_model.safetensors"
        )
    return found[0]
