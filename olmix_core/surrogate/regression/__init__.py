"""Regression of a law: all tasks of a swarm at once, with their hyper-parameters and the covariance of the result.

In: the runs of a swarm (`SwarmData`), the form of a law (`laws`), `FitSettings` and, for several swarms, a prior.
Out: parameters, leave-one-out errors and notes of every task (`estimation`), and the covariance behind error bars
(`uncertainty`). Private to the surrogate: import its modules there.
"""
