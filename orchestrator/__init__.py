"""Turns messages into replies: routing, agents at hand, memory, and the record of each run."""
