"""Laws carried from the scale of the proxies to that of the run that the mixture is for.

`Scale` is parameters and tokens. `levels` says how a loss falls with both, `transfer` how the effect of the mixture
changes with them, and `TargetSurrogate` predicts at the target from a law at the scale of the proxies and from
`Anchors`, a few runs at other scales. docs/target.md explains the model.
"""
