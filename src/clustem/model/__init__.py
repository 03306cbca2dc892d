"""What travels through the house: tables, partitions, projections, steps, errors.

This room imports no other room.
"""

from clustem.model.catalogue import Catalogue, Entry
from clustem.model.errors import (
    ClustemError,
    InputError,
    OutputError,
    ParameterError,
    UnknownNameError,
)
from clustem.model.kinds import Geometry, ScanMask, SignalMask, Values
from clustem.model.parameters import (
    Parameter,
    check_data,
    check_parameters,
    checked,
    parameters_of,
)
from clustem.model.partition import Partition, falling_order
from clustem.model.projection import Projection
from clustem.model.step import Step
from clustem.model.table import Table
from clustem.model.versions import versions

__all__ = [
    "Catalogue",
    "ClustemError",
    "Entry",
    "Geometry",
    "InputError",
    "OutputError",
    "Parameter",
    "ParameterError",
    "Partition",
    "Projection",
    "ScanMask",
    "SignalMask",
    "Step",
    "Table",
    "UnknownNameError",
    "Values",
    "check_data",
    "check_parameters",
    "checked",
    "falling_order",
    "parameters_of",
    "versions",
]
