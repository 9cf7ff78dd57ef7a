"""One attack under many settings."""
