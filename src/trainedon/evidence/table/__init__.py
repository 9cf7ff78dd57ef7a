"""Tables of scores, pictures and features, read and put in order."""
