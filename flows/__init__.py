"""Prefect flows around the steps of the method, and the command line.

A flow takes a configuration and its inputs, walks the chain of steps with an executor, and publishes a mix: `mix` (what
`olmix run` does), `swarm` (only draws the mixtures), `update` (`mix` for deployments, with `form`, its form in the UI),
`watch` (tells when data changed), `compare` (two versions) and `proxy` (one job of a work pool). Below them are
`execution` (where steps run), `pipeline` (the chain) and `reports` (what a run would do, and why); above them `cli`.
Nothing is imported here: Prefect takes seconds to import.
"""
