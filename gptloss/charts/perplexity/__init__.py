"""The charts of "Perplexity and pitfalls"."""
