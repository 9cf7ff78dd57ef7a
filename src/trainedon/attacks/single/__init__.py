"""Attacks that ask the audited model alone."""
