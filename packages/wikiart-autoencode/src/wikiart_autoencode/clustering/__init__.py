"""Clustering of codes, and how far clusters agree with styles."""
