"""The playground: an agent's own networks, run in the reader's browser.

The JavaScript modules here follow the library's: `networks.mjs` is networks.py, `inference.mjs` has
the functions of lessons 1, 2 and 5, `agents.mjs` reads an agent as it is saved. Tests compare their
numbers with the library's.
"""
