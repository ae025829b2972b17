"""One receiver of several processes: who starts them, and who sums up what they tell."""
