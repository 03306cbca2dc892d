"""Segmentation -> figures, TIFF, MSA, CSV, HTML: what a reader sees and other programs open."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
