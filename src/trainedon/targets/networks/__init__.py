"""Networks of diffusers as targets: one adapter a family, and the list of families."""
