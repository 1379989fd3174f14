"""Running a program once, to see what a sweep of it could follow and vary."""
