"""Tasks: an `Image` in, a `Result` out. No files, no batches of files."""
