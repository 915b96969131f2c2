"""Rows of text in, the loss of every target token out."""
