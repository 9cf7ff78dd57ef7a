"""Sweeps and peaks: questions about many settings or scores."""
