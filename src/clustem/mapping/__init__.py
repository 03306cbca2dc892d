"""Clustering -> Segmentation: clusters back on the scan, facets, lattice directions.

Every public file of this folder is a step: see ``clustem.core.registry``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
