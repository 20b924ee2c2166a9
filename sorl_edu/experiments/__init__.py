"""Experiments, the studies that declare them, and the speed of all this."""
