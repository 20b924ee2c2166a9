"""Data to learn from: transitions, OGBench's datasets, their collection, and toy problems."""
