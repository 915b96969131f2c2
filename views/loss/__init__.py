"""The page "Loss, step by step"."""
