"""`wikiart-data doctor`: what is wrong with a data folder or a machine."""
