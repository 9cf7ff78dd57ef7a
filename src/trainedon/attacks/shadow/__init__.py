"""Attacks that compare with shadow models."""
