"""The map of the codes: figures on paper and a page to explore."""
