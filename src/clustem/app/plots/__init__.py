"""Figures in the page."""
