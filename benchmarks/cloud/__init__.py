"""What running in the cloud costs and survives: simulated days, and tests of a deployment's life."""
