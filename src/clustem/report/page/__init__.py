"""The report and the result folder."""
