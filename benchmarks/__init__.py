"""What is measured about the package itself; each module is a command, `python -m benchmarks.NAME`."""
