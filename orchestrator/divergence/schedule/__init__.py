"""Learning-rate schedules as pure functions of step, and the audit that holds a log against one."""
