"""A process that has imported everything once, and answers each command line in a copy of itself, within limits.

It reads one job a line, JSON with `place`, `arguments` and `report`, and answers with one line of JSON: `code`
(negative for a signal), `peak` (bytes), `stdout`, `stderr`, and `did`: what the copy opened for writing outside
`place`, fetched from a network, or read as a pickle.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import tempfile
from pathlib import Path

ROOM = 4 * 2**30  # bytes that a copy may ask for
SECONDS = 30  # of a processor
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}


def watch(place: Path, report: int) -> None:
    """Write down what must not happen, one line each, from now on."""
    allowed = (str(place), "/dev/null", "/dev/tty", "/dev/shm/")

    def outside(path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return not real.startswith(allowed)

    def heard(event: str, given: tuple) -> None:
        if event == "open" and isinstance(given[2], int) and given[2] & WRITING and outside(given[0]):
            told = f"opened {given[0]} for writing"
        elif event in CHANGES and any(outside(path) for path in given[:2]):
            told = f"{event} of {given[:2]}"
        elif event == "socket.connect" and not isinstance(given[1], str | bytes):
            told = f"connected to {given[1]}"
        elif event == "pickle.find_class":
            told = f"unpickled {given}"
        else:
            return
        os.write(report, f"{told}\n".encode(errors="replace"))

    sys.addaudithook(heard)


def answer(place: Path, arguments: list[str], report: int) -> None:
    """Run a command line in this process, and end it."""
    out, err = (os.open(place / name, os.O_CREAT | os.O_WRONLY, 0o600) for name in (".stdout", ".stderr"))
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(place)
    temporary = place / ".temporary"
    temporary.mkdir()
    os.environ |= {"TMPDIR": str(temporary), "HOME": str(temporary), "XDG_CACHE_HOME": str(temporary)}
    tempfile.tempdir = str(temporary)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, held + ROOM))
    watch(place, report)
    sys.argv = ["trainedon", *arguments]
    code = 0
    try:
        from trainedon.__main__ import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (it is printed as Python would have)
        code = 99
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def waited(child: int) -> tuple[int, int]:
    """How a process ended, negative for a signal, and the most memory that it held. No clock is asked: what computes
    for ever ends by the limit of its processor time, and a busy machine makes nobody fail."""
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024


def main() -> None:
    import pyarrow.pandas_compat  # noqa: F401
    from diffusers import AutoencoderKL, DDIMScheduler, DDPMPipeline, StableDiffusionPipeline, UNet2DModel  # noqa: F401
    from PIL import Image
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    import trainedon.cli
    import trainedon.evidence
    import trainedon.reporting
    import trainedon.runs
    import trainedon.targets
    import trainedon.training  # noqa: F401

    Image.preinit()
    _ = DDIMScheduler().compatibles  # imports all schedulers

    gc.collect()
    gc.freeze()  # else a collection in a copy walks through all of this, and copies every page that it is on

    for line in sys.stdin:
        job = json.loads(line)
        place = Path(job["place"])
        report = os.open(job["report"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        child = os.fork()
        if not child:
            answer(place, job["arguments"], report)
        code, peak = waited(child)
        os.close(report)
        texts = {name: (place / f".{name}").read_text("utf-8", "replace") for name in ("stdout", "stderr")}
        did = Path(job["report"]).read_text("utf-8", "replace").splitlines()
        sys.stdout.write(json.dumps({"code": code, "peak": peak, "did": did} | texts) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
