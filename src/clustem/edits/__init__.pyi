from .exclude import exclude as exclude
from .merge import merge as merge
from .recolor import recolor as recolor
from .relabel import relabel as relabel
from .split import split as split
