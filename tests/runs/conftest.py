"""A way to call the command line as a user does."""

import pytest
from commandline import call


@pytest.fixture(scope="session")
def trainedon():
    return call
