"""Where the workers of a search run: one file each."""
