"""What pytest is told before it collects."""

import gc

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The process that only deals tests out to workers needs no fixtures, which import torch and diffusers."""
    gc.disable()
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("everywhere")


def pytest_collection_finish() -> None:
    """What imports and collecting left stays; walking through it took a second of each full garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()
