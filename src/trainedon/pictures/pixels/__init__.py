"""What a file holds, and how it becomes pixels: told by its content, bounded, apart where it may be dangerous."""
