"""What several pages show or do in the same way."""
