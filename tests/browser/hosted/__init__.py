"""The app on a shared link: hostile texts and messages, faults, restarts, and what its server answers."""
