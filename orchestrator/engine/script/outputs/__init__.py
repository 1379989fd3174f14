"""The files that a script leaves behind: finding, checking and keeping them."""
