"""What every attack is made of."""
