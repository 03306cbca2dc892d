from .nmf import nmf as nmf
from .pca import pca as pca
from .smooth import smooth as smooth
from .vae import vae as vae
