"""The rules applied to the contacts that are due: one statement asks the conditions, `decide` concludes, and what follows is stored."""
