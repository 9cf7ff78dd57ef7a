"""Models in one file of the original code: recognised, renamed and converted."""
