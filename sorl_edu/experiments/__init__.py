"""Programs that measure what the README promises: `demo`, `claims` and `bench`."""
