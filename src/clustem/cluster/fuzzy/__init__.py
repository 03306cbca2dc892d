"""Fuzzy and possibilistic c-means, Gustafson–Kessel."""
