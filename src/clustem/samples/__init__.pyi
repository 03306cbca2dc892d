from .diffraction import diffraction as diffraction
from .domains import domains as domains
from .eds import eds as eds
from .eels import eels as eels
from .joint import joint as joint
from .particles import particles as particles
from .support import support as support
