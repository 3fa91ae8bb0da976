"""LSOAs, the small areas of the census: the areas, and the crimes in them."""
