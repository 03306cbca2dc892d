"""What figures share: paper, colors, units, scale bars."""
