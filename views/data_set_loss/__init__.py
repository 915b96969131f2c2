"""The page "Data set loss"."""
