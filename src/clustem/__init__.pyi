from . import cluster as cluster
from . import core as core
from . import describe as describe
from . import edits as edits
from . import eels as eels
from . import judge as judge
from . import mapping as mapping
from . import prepare as prepare
from . import recipes as recipes
from . import reduce as reduce
from . import report as report
from . import samples as samples
from .core.segmentation import Segmentation as Segmentation
from .recipes.compare import compare as compare
from .recipes.joint import Joint as Joint
from .recipes.load import load as load
from .recipes.recipe import Recipe as Recipe
from .recipes.segment import segment as segment
from .recipes.segment_joint import segment_joint as segment_joint
from .recipes.segment_movie import segment_movie as segment_movie
from .recipes.segment_study import segment_study as segment_study
from .recipes.study import Study as Study
from .recipes.sweep import sweep as sweep
from .recipes.views import views as views

__version__: str
