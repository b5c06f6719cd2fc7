"""Rows of datasets: sources, parts, splits, typed fields."""
