"""The process: builds the objects, runs them in one TaskGroup, and ends them in order."""
