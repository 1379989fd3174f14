"""What is known while a sweep runs: its records, its running attempts and its event log."""
