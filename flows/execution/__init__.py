"""How steps are carried out: executors, runners, locks, and Prefect's settings.

An executor gets a step with payloads and returns its results in order; `PrefectExecutor` submits them as Prefect tasks
to the task runner of one of `runners`. What is cached in the store is not executed again.

Nothing is imported here: `prefect_settings.prepare` has to run before Prefect is imported.
"""
