"""Two run folders against each other."""
