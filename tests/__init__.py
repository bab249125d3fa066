"""Tests, one folder per folder of the house, and stories through the whole of it."""
