"""What is known of the ways back from a cutover: promises, measured times, and their record."""
