"""The page "Temperature and sampling"."""
