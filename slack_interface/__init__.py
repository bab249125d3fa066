"""Speaks Slack and decides nothing: listeners, cards, streams, and the local workspace."""
