"""What is kept of a run: its folder, its journal, its lock, and what operators ask of it."""
