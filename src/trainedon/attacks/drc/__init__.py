"""Degrade-Restore-Compare and its named settings."""
