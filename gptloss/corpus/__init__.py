"""The loss of texts of any length."""
