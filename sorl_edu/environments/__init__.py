"""OGBench's environments: names, creation, seeding, physics states, geometry and roll-outs."""
