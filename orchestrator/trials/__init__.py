"""How a change is tried: who is served what, what is observed, and what that says."""
