"""Files of checkpoints, read and checked."""
