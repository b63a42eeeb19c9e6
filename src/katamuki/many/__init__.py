"""One formula, a million curves: whole fits of small groups of rows in compiled code, a row of a table for each."""
