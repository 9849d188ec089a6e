"""The AugReg pool: its index, selection criteria and new members."""
