"""The drop-in for users of the published tool: its fit configuration and swarm files in, a mixture out."""
