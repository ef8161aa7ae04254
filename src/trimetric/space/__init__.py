"""What a trained model leaves behind: a scorer, and what is done with it."""
