"""What scores the shards of a run: here, or by a pool of workers."""
