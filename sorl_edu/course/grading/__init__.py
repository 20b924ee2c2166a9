"""Grading of submissions: the fence, the grader, a class, other machines, and a leaderboard."""
