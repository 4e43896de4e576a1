"""Grafana dashboards as code: `python -m helm.grafana` writes helm/slipway/dashboards/*.json.

`overview`, `generation` and `gpu` say what is shown, `parts` how a panel looks, `frame` what all dashboards
share: variables, annotations, links. Types and names of members are those of Grafana's own schema (its
foundation SDK); what no dashboard may contain, a metric that does not exist, is tested in tests/grafana.
"""
