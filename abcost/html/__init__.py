"""Pages that open offline: tables that sort and filter, charts, and commands to copy, in one file."""
