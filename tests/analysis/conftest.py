"""Makes simulated_results and report_pages importable from the tests in sub-folders."""
