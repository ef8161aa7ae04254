"""Answers over HTTP, and the explorer page: see `app`."""
