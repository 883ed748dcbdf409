"""The base model as it comes: its files, architecture, devices, tokens and cost; nothing here is trained."""
