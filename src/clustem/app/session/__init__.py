"""What one session knows and can do: no widget, no browser."""
