"""Find by measurement how many trials at once get the most done."""
