"""The spawner as bytes: `spawner.c` built by `scripts/build-spawner` for each machine, as `BUILT_WITH` says."""
