"""The report as a page: its tables, its figures, and the two texts they appear in."""
