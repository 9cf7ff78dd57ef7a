"""The protocol: from tables to claims."""
