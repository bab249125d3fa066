"""What happened, what was decided, and what is on its way: records and their one Store."""
