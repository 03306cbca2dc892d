from .clusters import clusters as clusters
from .domains import domains as domains
from .facets import facets as facets
from .orientations import orientations as orientations
from .particles import particles as particles
from .tracks import Tracks as Tracks
