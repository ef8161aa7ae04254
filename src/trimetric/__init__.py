"""trimetric: users and items in one Euclidean space."""

__version__ = "0.1.0"
