"""Files that a user reads: tables, plots, videos."""
