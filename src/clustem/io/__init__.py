"""Files: opened, written whole or not at all, read back."""
