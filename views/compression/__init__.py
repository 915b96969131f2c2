"""The page "What a loss buys"."""
