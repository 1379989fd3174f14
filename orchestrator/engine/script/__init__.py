"""A person's own script as a trial: arguments, output, adopted folder, leftovers."""
