from __future__ import annotations

from pathlib import Path

from medcyclegan.phantom import DIFFERING, FINDINGS, LABELS, SCANNERS, TISSUES


def rows(repository: Path) -> dict[str, list[list[str]]]:
    """The cells of the tables of docs/phantom.md by their first cell."""
    found: dict[str, list[list[str]]] = {}
    for line in (repository / "docs" / "phantom.md").read_text().splitlines():
        if line.startswith("| "):
            first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.setdefault(first, []).append(cells)
    return found


def test_the_documented_table_of_hu_is_the_one_in_use(repository: Path) -> None:
    documented = rows(repository)
    for name, row in TISSUES.items():
        shown = [f"{value:g}" for value in (row.arterial, row.venous, row.delayed)]
        base = f"{row.base_hu:g} ± {row.base_sd:g}"
        assert [str(LABELS[name]), base, *shown] in documented[name], name


def test_the_documented_shares_are_those_in_use(repository: Path) -> None:
    documented = rows(repository)
    for name in FINDINGS:
        shares = [f"{DIFFERING[domain].findings[name]:g}" for domain in DIFFERING]
        assert shares in [cells[-2:] for cells in documented[name]], name


def test_the_documented_scanners_are_those_in_use(repository: Path) -> None:
    text = (repository / "docs" / "phantom.md").read_text()
    for scanner in SCANNERS.values():
        low, high = scanner.noise_hu
        line = next(line for line in text.splitlines() if f"`{scanner.name}`" in line)
        for figure in (
            f"{scanner.blur_mm:g} mm",
            f"{low:g} to {high:g} HU",
            f"{scanner.noise_mm:g} mm",
        ):
            assert figure in line
