"""What collection.yaml and report.json say, as frozen dataclasses."""
