"""
Thickness and zero-loss peak from low losses
============================================

*How thick is the sample, and what is below 5 eV once the zero-loss peak is gone?*
"""

import clustem

# %%
# A simulated wedge. The recipe ``eels`` clusters by the total intensity, at the proven optimum of
# one-dimensional clustering. The zero-loss model is left out here; it follows below.

sample = clustem.samples.eels(shape=(16, 40), jitter=0.0)
wedge = clustem.segment(sample.signal, "eels", settings={"eels.zero_loss": False})
wedge.plot()

# %%
# Networks learn the zero-loss peak of each cluster with its uncertainty. They need
# ``pip install 'clustem[torch]'``; a hundred are usual, fifteen are enough to look.

from clustem.eels import ZeroLossModel, subtract, thickness
from clustem.report import thickness_map, zero_loss_plot

model = ZeroLossModel(n_replicas=15).fit(wedge.source, wedge)
figure = zero_loss_plot(model)

# %%
# What is left after subtraction, with its band, and the thickness in inelastic mean free paths.

parts = subtract(wedge.source, model)
print(parts.inelastic)
t_over_lambda = thickness(wedge.source, model)
another = thickness_map(t_over_lambda)
