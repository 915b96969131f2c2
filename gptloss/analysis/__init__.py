"""What can be read off scored rows: words, other temperatures, two rows side by side."""
