"""A process of its own that computes for all visitors, so that pages are drawn meanwhile."""
