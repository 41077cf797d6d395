"""A package that adds one of each thing to abcost: read it beside the page "A package of your own"."""
