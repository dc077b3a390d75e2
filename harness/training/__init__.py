"""Training: recipes run stage by stage, whole or not at all, and an unchanged stage is not run twice."""
