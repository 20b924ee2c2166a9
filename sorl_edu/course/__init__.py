"""The course: notebooks, exercises, grading, and what it ships."""
