"""The page "Token probabilities"."""
