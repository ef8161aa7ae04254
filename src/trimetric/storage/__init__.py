"""What is written to disk: artifacts, and files that replace others in one step."""
