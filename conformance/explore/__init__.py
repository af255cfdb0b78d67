"""Questions nobody wrote down: sequences of calls drawn at random and judged against a small model of the page."""
