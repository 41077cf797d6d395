"""Cost tables measured by synthesis: sweep the units, fit laws, write the table with its raw points."""
