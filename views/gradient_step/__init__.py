"""The page "One gradient step"."""
