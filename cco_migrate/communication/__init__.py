"""What people are told of a migration, and when: notices, the calendar, freeze windows."""
