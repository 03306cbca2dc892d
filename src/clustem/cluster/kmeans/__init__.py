"""k-means: exact at any size."""
