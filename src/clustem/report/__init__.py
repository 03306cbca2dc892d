"""Projection -> figures, TIFF, MSA, CSV, HTML: what a reader sees and other programs open."""

from clustem.report.center_plot import center_plot
from clustem.report.colors import colors
from clustem.report.confusion import confusion
from clustem.report.disagreement import disagreement
from clustem.report.ellipses import ellipses
from clustem.report.image_map import image_map
from clustem.report.intensity_histogram import intensity_histogram
from clustem.report.intensity_map import intensity_map
from clustem.report.lineage_plot import lineage_plot
from clustem.report.margin_maps import margin_maps
from clustem.report.membership_maps import membership_maps
from clustem.report.movie_curves import movie_curves
from clustem.report.movie_strip import movie_strip, strip_frames
from clustem.report.orientation_map import orientation_map
from clustem.report.phase_map import phase_map
from clustem.report.scatter import scatter
from clustem.report.scree import scree
from clustem.report.side_by_side import side_by_side
from clustem.report.split_views import split_views
from clustem.report.thickness_map import thickness_map
from clustem.report.unassigned_map import unassigned_map
from clustem.report.write_centers import write_centers
from clustem.report.write_comparison import write_comparison
from clustem.report.write_labels import write_labels
from clustem.report.write_memberships import write_memberships
from clustem.report.write_movie import write_movie
from clustem.report.write_points import write_points
from clustem.report.write_regions import write_regions
from clustem.report.write_report import write_report
from clustem.report.write_scores import write_scores
from clustem.report.write_thickness import write_thickness
from clustem.report.zero_loss_plot import zero_loss_plot

__all__ = [
    "center_plot",
    "colors",
    "confusion",
    "disagreement",
    "ellipses",
    "image_map",
    "intensity_histogram",
    "intensity_map",
    "lineage_plot",
    "margin_maps",
    "membership_maps",
    "movie_curves",
    "movie_strip",
    "orientation_map",
    "phase_map",
    "scatter",
    "scree",
    "side_by_side",
    "split_views",
    "strip_frames",
    "thickness_map",
    "unassigned_map",
    "write_centers",
    "write_comparison",
    "write_labels",
    "write_memberships",
    "write_movie",
    "write_points",
    "write_regions",
    "write_report",
    "write_scores",
    "write_thickness",
    "zero_loss_plot",
]
