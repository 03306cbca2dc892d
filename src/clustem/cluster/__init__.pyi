from .estimator import Estimator as Estimator
from .fuzzy.fuzzy_c_means import FuzzyCMeans as FuzzyCMeans
from .fuzzy.gustafson_kessel import GustafsonKessel as GustafsonKessel
from .fuzzy.possibilistic_c_means import PossibilisticCMeans as PossibilisticCMeans
from .kmeans.k_means import KMeans as KMeans
from .kmeans.lloyd import lloyd as lloyd
from .kmeans1d.k_means_1d import KMeans1D as KMeans1D
from .mixture.gaussian_mixture import GaussianMixture as GaussianMixture
