"""Runs the commands of make's recipes as tasks of Ray, on this machine or on a cluster."""
