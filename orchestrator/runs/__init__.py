"""What happened: sweep folders, run directories, and the records in them."""
