"""The page "Perplexity and pitfalls"."""
