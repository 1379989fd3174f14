"""What a sweep runs next, and when it ends: functions of the spec and of the records."""
