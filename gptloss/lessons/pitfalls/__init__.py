"""What people get wrong about the loss, each mistake computed from the same rows as the right number."""
