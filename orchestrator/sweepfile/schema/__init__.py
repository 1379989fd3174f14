"""The keys of a sweep file: types, descriptions and JSON Schema."""
