"""Checks for models of other packages."""
