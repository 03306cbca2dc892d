"""Recipes: ordered steps through the rooms, from a file to a segmentation."""

from clustem.recipes.reading import Scan, read
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import segment
from clustem.recipes.sweep import sweep

__all__ = ["Recipe", "Scan", "read", "segment", "sweep"]
