"""Where pictures lie: on this disk, or in a store."""
