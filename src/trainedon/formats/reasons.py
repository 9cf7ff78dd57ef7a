"""How reasons begin by which rows of a run's tables are told apart."""

PASSED = "passed over: "  # of a file that is listed, and is no picture
