from .gabor import gabor as gabor
from .patches import patches as patches
from .patterns import patterns as patterns
from .radial_profile import radial_profile as radial_profile
from .spectra import spectra as spectra
from .texture import texture as texture
from .total_intensity import total_intensity as total_intensity
from .virtual_detectors import virtual_detectors as virtual_detectors
