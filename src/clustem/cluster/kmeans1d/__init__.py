"""k-means of numbers: the proven optimum."""
