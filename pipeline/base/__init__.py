"""What every package stands on: faults, commands, files, YAML sections, templates, axes of plots."""
