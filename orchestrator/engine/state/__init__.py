"""What is known while a sweep runs: its records and its running attempts."""
