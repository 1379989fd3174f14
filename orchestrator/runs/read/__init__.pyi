from .stored_run import StoredRun as StoredRun, open_run as open_run, value_at as value_at
