"""What comes from outside: police.uk archives, boundaries, and a sample that imitates both."""
