"""What is counted of every request, shared by all workers, and how it is told."""
