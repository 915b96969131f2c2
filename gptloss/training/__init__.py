"""Training a small GPT on a text, watched from inside."""
