"""Products with a constant matrix as adders and shifts: what they compute, how wide they are, two ways to find them."""
