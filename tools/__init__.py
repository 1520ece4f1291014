"""What serves this repository only: the pages of its documentation that are made of the code."""
