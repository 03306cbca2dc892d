from .subtract import subtract as subtract
from .thickness import thickness as thickness
from .zero_loss import zero_loss as zero_loss
from .zero_loss_model import ZeroLossModel as ZeroLossModel
