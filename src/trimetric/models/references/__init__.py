"""Reference models: strong and simple ones, so that no comparison is with weak baselines only."""
