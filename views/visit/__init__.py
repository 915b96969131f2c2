"""The state of a visit, its link, and who the visitor is."""
