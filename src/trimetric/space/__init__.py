"""What a model leaves behind, and what can be asked of it."""
