"""Whether a run folder is what it says: its files, its numbers, its seal."""
