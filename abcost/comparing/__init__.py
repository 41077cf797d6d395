"""Two reports side by side: what differs, and whether a condition on the difference is broken."""
