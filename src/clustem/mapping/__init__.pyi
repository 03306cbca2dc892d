from .clusters import clusters as clusters
from .facets import facets as facets
from .orientations import orientations as orientations
from .tracks import Tracks as Tracks
