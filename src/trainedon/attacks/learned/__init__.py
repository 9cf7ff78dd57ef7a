"""Attacks that learn from pictures of which it is known what they are."""
