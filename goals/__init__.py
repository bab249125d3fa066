"""Goals: requests that need a plan, decomposed and run durably."""
