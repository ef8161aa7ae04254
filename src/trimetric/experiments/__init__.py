"""Experiments: the published figures, and runs set beside them in one report."""
