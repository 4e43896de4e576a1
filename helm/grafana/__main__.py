"""Writes the dashboards where the chart embeds them from; a test fails when they and the code disagree."""

from pathlib import Path

from helm.grafana.dashboards import DASHBOARDS, text

FOLDER = Path(__file__).parents[1] / "slipway" / "dashboards"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, build in DASHBOARDS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(text(build()))
        print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
