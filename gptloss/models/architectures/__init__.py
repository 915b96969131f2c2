"""Networks, and how they read a text piece by piece."""
