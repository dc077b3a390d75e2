"""The one-way pass: samples, replies, findings, verdicts, rows, estimates, checks, a run folder."""
