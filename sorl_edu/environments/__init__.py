"""OGBench's environments: how they are made, their geometry, and roll-outs in them."""
