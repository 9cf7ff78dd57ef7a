"""Networks of others that look at pictures: vision transformers, and a finder of faces."""
