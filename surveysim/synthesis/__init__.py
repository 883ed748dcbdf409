"""Simulated respondents: whole rows whose answers hang together as the sample's do, with the shares that are simulated."""
