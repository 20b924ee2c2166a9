"""Draw your own: a distribution that the reader draws, and a field that learns it in the browser.

The JavaScript modules follow lessons 1 and 2: `mlp.mjs` has the network with its backward pass,
`losses.mjs` both losses, `training.mjs` the updates. Tests compare losses, gradients, updates and
samples with the library's.
"""
