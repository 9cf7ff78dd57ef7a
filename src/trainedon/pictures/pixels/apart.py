"""Pictures decoded in a process of their own, within limits: no file ends, fills or holds up the one that asks.

Plain JPEG and PNG files, whose work is bounded by what can be counted in them, are decoded where they are needed: to
hand them over would cost more than it protects. All others, whose readers are younger or do more than their size tells,
are handed to one process, which is started when the first is met, and anew when one has ended it.

The process is told and answers over pipes, in JSON and bytes; what it says is checked, since a file may have taken it
over.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from io import BufferedReader
from typing import IO, Any

import numpy as np

from trainedon.errors import PictureError, UserError
from trainedon.fresh_interpreter import MODULES, command_of
from trainedon.pictures.pixels.content import is_plain
from trainedon.pictures.pixels.decoding import check_file, check_pixels, decode
from trainedon.pictures.pixels.rendering import DEFAULT, Rendering

MEMORY = 3 * 2**30  # bytes that the process may take, on systems that know such a limit
SECONDS, MOST_SECONDS = 5.0, 28.0  # of a processor: to open a file, and for all of one
PIXELS_A_SECOND = {"JPEG2000": 4_000_000}  # besides; its reader does 5 megapixels, lossless
MANY_A_SECOND = 10_000_000  # of others
TOO_LONG = "takes longer to decode than any honest picture of its size"
TOO_LARGE = f"takes more than {MEMORY // 2**30} GiB to decode"
BROKE = "its decoder broke down over it"
_LONGEST = 200  # characters of a reason
_FACTS = {"format": str, "mode": str, "width": int, "height": int, "bytes": int, "alpha": bool, "orientation": int}
_PROGRAM = f"{MODULES} from trainedon.pictures.pixels.apart import serve; serve()"
# native readers that start a thread a core are to take their room from few arenas
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


def decode_safely(data: bytes, rendering: Rendering = DEFAULT) -> tuple[np.ndarray, dict[str, int | float | str]]:
    """What `decode` gives, and PictureError where it raises one, or would take too long or too much memory."""
    check_file(data)
    return decode(data, rendering) if is_plain(data) else _OTHER.decode(data, rendering)


class _Other:
    """The other process, as it is seen from here. One file at a time is in it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner, self._turn = 0, threading.Lock()

    def decode(self, data: bytes, rendering: Rendering) -> tuple[np.ndarray, dict[str, int | float | str]]:
        """As `decode_safely`."""
        with self._turn:
            try:
                return self._asked(self._running(), data, rendering)
            except PictureError:
                raise
            except BaseException:  # such as Ctrl-C: half an answer may be in the pipe
                self.close()
                raise

    def _asked(
        self, process: subprocess.Popen[bytes], data: bytes, rendering: Rendering
    ) -> tuple[np.ndarray, dict[str, Any]]:
        try:
            to, back = _pipes(process)
            _send(to, {"size": len(data), "rendering": asdict(rendering)}, data)
            answer = json.loads(back.readline(4096))
            reason = answer.get("reason")
            if reason is None:
                return _received(back, answer)
        except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, PictureError):
            raise PictureError(self._fate(process)) from None
        raise PictureError("".join(filter(str.isprintable, str(reason)))[:_LONGEST])

    def _fate(self, process: subprocess.Popen[bytes]) -> str:
        """Why there was no answer, or none that makes sense; the process is gone afterwards."""
        self.close()
        return TOO_LONG if process.returncode == -getattr(signal, "SIGPROF", 0) else BROKE

    def _running(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():  # a copy of the process that asked: the other one is not its own
            self._process, self._owner = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            self._process = _started()
        return self._process

    def close(self) -> None:
        """End it, if it is there."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        _ended(process)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """The process is gone afterwards; its code is that with which it ended by itself, if it did."""
    process.poll()
    process.kill()
    process.wait()
    for stream in _pipes(process):
        with suppress(OSError):  # what was not written yet cannot be any more
            stream.close()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], BufferedReader]:
    """What a process that was `_started` reads, and what it writes."""
    assert process.stdin is not None and isinstance(process.stdout, BufferedReader)
    return process.stdin, process.stdout


def _started() -> subprocess.Popen[bytes]:
    environment = os.environ | _ENVIRONMENT
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    try:
        return subprocess.Popen(command_of(_PROGRAM), env=environment, stdin=pipe, stdout=pipe, stderr=nowhere)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"no other process can be started to decode pictures ({reason}): allow some more") from None


_OTHER = _Other()
atexit.register(_OTHER.close)


def _send(stream: IO[bytes], told: dict[str, Any], data: bytes | memoryview) -> None:
    stream.write(json.dumps(told).encode() + b"\n")
    stream.write(data)
    stream.flush()


def _received(stream: BufferedReader, answer: dict[str, Any]) -> tuple[np.ndarray, dict[str, int | float | str]]:
    """The pixels behind an answer, and its facts. Raises one of many errors where they make no sense."""
    height, width = answer["shape"]
    check_pixels(int(width), int(height))
    facts = {name: _FACTS[name](value) for name, value in answer["facts"].items()}
    rgb = np.empty((height, width, 3), np.uint8)
    left = rgb.data.cast("B")
    while left:
        if not (n := stream.readinto(left)):
            raise EOFError
        left = left[n:]
    return rgb, facts


def serve() -> None:
    """The other process: decodes what comes in, until nothing more comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked is told, and ends this
    _limit()
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := asked.readline():
        told = json.loads(line)
        data = asked.read(told["size"])
        try:
            pixels: bytes | memoryview
            answer: dict[str, object]
            _within(SECONDS)
            rgb, facts = decode(data, Rendering(**told["rendering"]), _allow)
            pixels, answer = np.ascontiguousarray(rgb).data.cast("B"), {"shape": rgb.shape[:2], "facts": facts}
        except (PictureError, MemoryError) as error:
            lacking = isinstance(error, MemoryError) or isinstance(error.__context__, MemoryError)
            pixels, answer = b"", {"reason": TOO_LARGE if lacking else str(error)}
        finally:
            _within(0)
        _send(answers, answer, pixels)


def _limit() -> None:
    if sys.platform == "win32":  # which has no such limits
        return
    import resource

    for what, most in ((resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _allow(pixels: int, kind: str) -> None:
    """As long as a picture of so many pixels may take."""
    _within(min(MOST_SECONDS, SECONDS + pixels / PIXELS_A_SECOND.get(kind, MANY_A_SECOND)))


def _within(seconds: float) -> None:
    """End this process after so many seconds of work, wherever it is; 0: not any more."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)
