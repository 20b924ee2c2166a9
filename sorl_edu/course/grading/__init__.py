"""Handing the course out and grading it: versions of a notebook, a sandbox, two graders."""
