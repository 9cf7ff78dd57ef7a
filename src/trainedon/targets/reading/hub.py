"""Models of the hub: what is fetched of a repository is what is opened, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from trainedon.errors import UserError
from trainedon.targets.reading.model_files import WEIGHTS, brief

# Parts that have no say in what the network answers; they are neither fetched nor read.
ASIDE = {"safety_checker", "feature_extractor", "image_encoder"}
# Where the list of files cannot be had: never pickles, nor the single file with all weights that often lies beside
# parts.
PARTS = ("*.json", "*/*.json", "*/*.safetensors", f"{WEIGHTS}*.safetensors", "*/*.txt", "*/*.model")
NAMES = (WEIGHTS, "model")
WORDS = (".json", ".txt", ".model")  # configurations and vocabularies


def download(repository: str, revision: str) -> tuple[Path, str]:
    """The local folder of a repository's files that are needed, and its name with the commit.

    Raises UserError when they cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=_wanted_there(repository, revision) or list(PARTS),
            ignore_patterns=["*.non_ema.*", "*flax_model*", *(f"{part}/*" for part in ASIDE)],
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"{repository} is no local folder and could not be fetched from the hub ({brief(error)}): "
            "check the name and the connection"
        ) from None
    return Path(folder), f"{repository}@{Path(folder).name}"  # the snapshot's folder is named by its commit


def _wanted_there(repository: str, revision: str) -> list[str] | None:
    """The files of a repository that are wanted; None where its list cannot be had, as without a connection."""
    from huggingface_hub import HfApi

    try:
        return wanted(HfApi().list_repo_files(repository, revision=revision or None))
    except Exception:  # noqa: BLE001 (whatever it is, fetching the files says so better)
        return None


def wanted(files: Iterable[str]) -> list[str]:
    """Which files of a repository are fetched: all small ones that describe parts, and of weights those of one variant,
    the same that `files.weights_of` then finds."""
    paths = [PurePosixPath(name) for name in files]
    paths = [path for path in paths if len(path.parts) <= 2 and path.parts[0] not in ASIDE]
    folders = sorted({path.parent for path in paths})
    weights = [name for folder in folders for name in _weights([p.name for p in paths if p.parent == folder], folder)]
    texts = [
        str(path) for path in paths if path.suffix in WORDS and not (path.suffix != ".json" and path.parent.name == "")
    ]
    return sorted({*texts, *weights})


def _weights(names: list[str], folder: PurePosixPath) -> list[str]:
    chosen = []
    for name in NAMES if folder.name else NAMES[:1]:
        own = [one for one in names if one.startswith(name) and one.endswith(".safetensors") and _is_of(name, one)]
        variants = sorted({_variant(name, one) for one in own}, key=lambda v: (v != "", v != "fp16", v != "bf16", v))
        chosen += [str(folder / one) for one in own if variants and _variant(name, one) == variants[0]]
    return chosen


def _is_of(name: str, file: str) -> bool:
    return _variant(name, file) is not None


def _variant(name: str, file: str) -> str | None:
    """`fp16` of `model.fp16.safetensors` and of its shards in both spellings; empty for none; None of other files."""
    middle = file.removeprefix(name).removesuffix(".safetensors")
    match = re.fullmatch(r"(?:\.([\w]+))?(?:-\d+-of-\d+)?(?:\.([\w]+))?", middle)
    return None if match is None else match[1] or match[2] or ""
