"""What `relay check --deep` looks at, beyond the settings."""
