"""One module per contract: typed calls in, typed values out. Siblings never import each other."""
