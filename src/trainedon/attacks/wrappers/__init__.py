"""Attacks that are made of another one."""
