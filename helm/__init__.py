"""What runs Slipway in a cluster: the chart in `slipway/`, and the code that writes its dashboards."""
