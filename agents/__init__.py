"""Agents: what one is, how it runs, the models and tools it uses."""
