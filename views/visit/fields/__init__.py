"""The settings, each declared once, a file for each page."""
