"""Audits of models of real width within a stated memory, each in a process of its own, whose peak is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainedon.free_memory import free_of_system

pytest.importorskip("resource")  # which Windows has not
TESTS = Path(__file__).parents[1]
# What Python, PyTorch, diffusers and a run hold besides one float32 copy of the weights; less than a second copy.
BESIDE = 1.8 * 2**30
AUDIT = """
import resource, sys
from trainedon.__main__ import main
try:
    main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
"""


def child(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def audited(name: str, tmp_path: Path, *options: str, side: int = 64) -> tuple[int, int]:
    """Numbers of the weights, and bytes at the peak, of an audit of 2 + 2 pictures."""
    rng = np.random.default_rng(0)
    for kind in ("suspects", "unseen"):
        (tmp_path / kind).mkdir()
        for i in range(2):
            pixels = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    made = child(str(TESTS / "real_sizes.py"), name, str(tmp_path / "model"))
    numbers, free = int(made.stdout.split()[-1]), free_of_system()
    if free is not None and free < 4 * numbers + BESIDE:  # an audit refuses such a model
        pytest.skip(f"needs {(4 * numbers + BESIDE) / 2**30:.1f} GiB of free memory, and {free / 2**30:.1f} are")
    places = [str(tmp_path / "suspects"), "--unseen", str(tmp_path / "unseen"), "--out", str(tmp_path / "run")]
    asked = ["--attacks", "loss(t=500)", "--no-controls", "--device", "cpu", *options]
    told = child("-c", AUDIT, "audit", str(tmp_path / "model"), *places, *asked).stderr
    assert (tmp_path / "run" / "report.html").exists()
    return numbers, int(told.split("peak ")[-1].split()[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Stable Diffusion 1.5", "SDXL", "Flux"])
def test_an_audit_holds_one_copy_of_half_precision_files_in_float32(name, tmp_path):
    numbers, peak = audited(name, tmp_path, "--size", "64")
    assert numbers > 5e8 and 4 * numbers < peak < 4 * numbers + BESIDE


@pytest.mark.skipif(
    not os.environ.get("TRAINEDON_TEST_WHOLE"), reason="takes 7 GiB and minutes: TRAINEDON_TEST_WHOLE=1"
)
@pytest.mark.slow
def test_the_whole_of_stable_diffusion_at_its_own_size(tmp_path):
    numbers, peak = audited("whole Stable Diffusion 1.5", tmp_path, side=512)
    assert numbers > 9e8 and peak < 4 * numbers + BESIDE + 2**30  # of which the autoencoder takes 0.65 GiB a picture
