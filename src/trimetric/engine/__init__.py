"""Compiled kernels on plain arrays; knows nothing of ids, files or models."""
