"""One rewrite rule per file; a new file here is found by itself."""
