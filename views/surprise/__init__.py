"""The page "Surprise in a text"."""
