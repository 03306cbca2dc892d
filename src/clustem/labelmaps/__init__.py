"""Label maps on the scan: read, matched, cut into regions, smoothed."""
