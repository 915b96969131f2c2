"""Models fetched from the network, and where they are kept."""
