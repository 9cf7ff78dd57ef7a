"""What a run of any size would take."""
