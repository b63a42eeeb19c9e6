"""The story of a whole run: read from its trace as events, then said."""
