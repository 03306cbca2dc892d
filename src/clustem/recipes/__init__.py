"""Recipes: ordered steps through the rooms, from a file to a segmentation."""

from clustem.recipes.movie import Movie
from clustem.recipes.pooling_check import PoolingCheck, pooling_check
from clustem.recipes.reading import Scan, read
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import segment
from clustem.recipes.segment_movie import segment_movie
from clustem.recipes.sweep import sweep
from clustem.recipes.views import Views, views

__all__ = [
    "Movie",
    "PoolingCheck",
    "Recipe",
    "Scan",
    "Views",
    "pooling_check",
    "read",
    "segment",
    "segment_movie",
    "sweep",
    "views",
]
