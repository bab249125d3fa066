"""The commands of `virtuous6`, by what they are about; parsing and printing only."""
