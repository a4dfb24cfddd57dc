"""The agent: one process in a cluster that dials the hub and runs what its owner allows."""
