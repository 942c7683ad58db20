"""What every step needs: its declaration, cached Prefect task, locks, progress, log and artifacts.

`step` declares a step; `registry` knows all steps in the order of their chain, without importing any. `results` keeps
results as plain JSON in the store, `locks` lets each be computed once, `progress` counts them, and `artifacts` shows
them in the Prefect UI. Import the submodules directly: `progress` and `registry` do without Prefect, which takes
seconds to import.
"""
