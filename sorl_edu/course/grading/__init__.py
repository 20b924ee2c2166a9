"""Grading of submissions: a sandbox, the grader, and a leaderboard."""
