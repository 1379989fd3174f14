"""What was asked: the sweep file, read with line numbers, checked whole, expanded to configs."""
