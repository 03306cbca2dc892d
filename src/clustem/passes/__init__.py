"""How a pass over rows runs: where blocks come from, and who works on them."""
