"""Checks of the notebooks' exercises, a module per lesson: each names the mistake it recognises."""
