"""What the scenarios share: servers, load generators, bare loops, rows, report. Knows no scenario."""
