"""The learners: each looks at a window of new runs, and says what it found and would change."""
