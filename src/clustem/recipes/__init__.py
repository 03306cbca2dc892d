"""Recipes: ordered steps through the rooms, from a file to a segmentation."""

from clustem.recipes.reading import Scan, read
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import segment

__all__ = ["Recipe", "Scan", "read", "segment"]
