"""The model under audit as attacks see it, and how it is asked."""
