"""Prefect tasks around olmix_core: `tasks.runtime` is their machinery, `tasks.steps` the steps themselves."""
