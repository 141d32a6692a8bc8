"""From options to a plan that was checked, tried out, shown and saved."""
