"""How versions come and go while requests are answered. The flow of one version, a module a stage:

    look (repository) → choose (version_policy) → open, check, examine, load (loading) → swap (lifecycle)
    → old one drained and unloaded (retirement)

`lifecycle` performs the stages in order; `admission` is what requests see of it.
"""
