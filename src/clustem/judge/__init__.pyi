from .choose_k import choose_k as choose_k
from .compare import compare as compare
from .distinguishing import distinguishing as distinguishing
from .gap import gap as gap
from .lineage import lineage as lineage
from .regions import regions as regions
from .scores import scores as scores
from .stability import stability as stability
