"""The next token: its whole distribution, samples of it, and any token of the vocabulary."""
