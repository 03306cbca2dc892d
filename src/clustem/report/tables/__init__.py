"""Tables and images for other programs, one per file."""
