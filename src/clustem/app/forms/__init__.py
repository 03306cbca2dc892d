"""Forms in the page."""
