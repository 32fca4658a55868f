"""Rows of a few steps: trained, measured, tabulated once, shared out, begun anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from medcyclegan.config import Config
from medcyclegan.errors import ConfigError, InputError, MedCycleGANError
from medcyclegan.files import locked
from medcyclegan.io import write_volume
from tests.ablation.__main__ import DOCUMENT, main
from tests.ablation.document import COLUMNS, Cells, Key, add_rows, cells, read_keys
from tests.ablation.figures import Figures, find
from tests.ablation.jobs import FIGURES, Measuring, Training, is_done, jobs_of, work
from tests.ablation.patients import unseen, write_training
from tests.ablation.rows import Cohort, Row, Stage, check_stages, override, rows_of
from tests.ablation.stages import STAGES
from tests.ablation.training import train_row

COHORT = Cohort(seed=5, contrast=2, noncontrast=3, test=3, size=64, slices=6)
STAGE = Stage(
    name="tiny",
    question="Does it run?",
    minutes=0.02,
    seeds=(0, 1),
    cohort=COHORT,
    base={
        "slices.size": 32,
        "slices.spacing_mm": 8.0,
        "model.generator": {"filters": 2, "blocks": 1, "norm": "batch"},
        "model.discriminator": {"filters": 2, "layers": 1},
    },
    variants={"plain": {}, "dear": {"model.lambda_change": 8.0}},
)
EMPTY = "".join(
    f"# {name}\n\n<!-- table: {name} -->\n<!-- end -->\n" for name in ("references", "x")
)
NOTHING = Figures(None, None, None, None, None, None, None, None, (0, 0), None, None)


class Fake(NamedTuple):
    """Work that takes no time, or fails."""

    name: str
    fails: bool = False
    table: str = "x"

    @property
    def keys(self) -> set[Key]:
        return {Key(self.name, 0, "f00")}

    def run(self, out: Path) -> list[Cells]:
        if self.fails:
            raise MedCycleGANError("loss is not finite")
        return [cells(Key(self.name, 0, "f00"), NOTHING)]


def written(folder: Path, text: str = EMPTY) -> Path:
    document = folder / "docs" / "tables.md"
    document.parent.mkdir()
    document.write_text(text)
    return document


def table(document: Path, stage: str) -> list[dict[str, str]]:
    part = document.read_text().partition(f"<!-- table: {stage} -->\n")[2]
    lines = part.partition("<!-- end -->")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows[2:]]


def test_a_row_is_trained_measured_and_put_into_its_table_once(tmp_path: Path) -> None:
    document = written(tmp_path, EMPTY.replace("x", "tiny"))
    row, out, said = Row(STAGE, "dear", 1), tmp_path / "out", list[str]()
    assert work([Training(row)], out, document, said.append) == 0
    (shown,) = table(document, "tiny")
    record = json.loads((out / "tiny-dear-1" / FIGURES).read_bytes())
    assert (shown["variant"], shown["seed"]) == ("dear", "1")
    assert shown["steps"] == str(record["steps"])
    assert 0.5 < record["steps"] * record["cpu_seconds_a_step"] / 1.2 <= 1
    assert float(shown["total"]) == pytest.approx(
        sum(float(shown[name]) for name in ("organs", "null", "look-alikes")), abs=0.02
    )
    assert record["recipe"]["model"]["lambda_change"] == 8.0
    assert "organ_error" in record["metrics"]
    weights = out / "tiny-dear-1" / "model" / "model.safetensors"
    made = weights.stat().st_mtime_ns

    said.clear()
    assert work([Training(row)], out, document, said.append) == 0
    assert not said
    changed = Row(STAGE._replace(minutes=0.03), "dear", 1)
    assert not is_done(Training(changed), document)
    document.write_text(EMPTY.replace("x", "tiny"))
    assert work([Training(row)], out, document, said.append) == 0
    assert table(document, "tiny") == [shown]
    assert weights.stat().st_mtime_ns == made


def test_a_row_gets_as_many_steps_as_its_time_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, lengths = [0.0], []

    def fake_train(config: Config, **_: Any) -> Path:
        lengths.append(config.training.steps)
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizers = [torch.optim.SGD([weight]) for _ in range(2)]
        for step in range(min(config.training.steps, 30)):
            clock[0] += 5.0 if step < 3 else 0.25  # the first ones take long
            for optimizer in optimizers:
                optimizer.step()
        return Path(config.output)

    monkeypatch.setattr("tests.ablation.training.train", fake_train)
    monkeypatch.setattr("tests.ablation.training.time.process_time", lambda: clock[0])
    trained = train_row(Row(STAGE._replace(minutes=2.0), "plain", 0), tmp_path)
    assert trained.seconds_a_step == 0.25
    assert trained.steps == lengths[-1] == 480


def test_what_was_tried_is_the_same_after_it_was_written() -> None:
    for stage in STAGES:
        for row in rows_of(stage):
            assert json.loads(json.dumps(row.tried)) == row.tried


def test_references_have_their_places(tmp_path: Path) -> None:
    document = written(tmp_path)
    assert work([Measuring(COHORT)], tmp_path / "out", document, lambda line: None) == 0
    rows = {row["variant"]: row for row in table(document, "references")}
    assert rows.keys() == {
        "identity",
        "histogram matching",
        "best curve",
        "label shift",
        "ceiling",
    }
    assert rows["identity"]["dose"] == "1.00"
    assert rows["identity"]["null"] == rows["identity"]["look-alikes"] == "0.00"
    assert rows["ceiling"]["organs"] == "0.00"
    assert rows["ceiling"]["steps"] == rows["ceiling"]["parameters (k)"] == "-"
    totals = [float(row["total"]) for row in table(document, "references")]
    assert totals == sorted(totals)
    assert table(document, "references")[0]["variant"] == "ceiling"


def test_the_truth_has_the_figures_of_the_truth() -> None:
    def truth(_case: object, reference: Any) -> Any:
        return reference.truth

    found = find(unseen(COHORT), {"truth": truth}).figures("truth")
    assert found.gap_worst == 1
    assert found.dose == pytest.approx(0, abs=1e-6)
    assert found.flicker == pytest.approx(1)
    assert found.organs is not None
    assert found.organs < 0
    assert found.invented == 0
    assert found.lesions[0] == found.lesions[1]


def test_what_was_half_done_is_done_anew(tmp_path: Path) -> None:
    half = tmp_path / f".medcyclegan-{COHORT.folder(tmp_path).name}"
    write_volume(next(unseen(COHORT)).image, half / "contrast" / "999.nii.gz")
    write_training(COHORT, tmp_path)
    folder = COHORT.folder(tmp_path)
    assert len(list(folder.glob("contrast/*"))) == COHORT.contrast
    assert len(list(folder.glob("noncontrast/*"))) == COHORT.noncontrast
    assert not half.exists()
    with pytest.raises(InputError, match="another cohort of this seed"):
        write_training(COHORT._replace(slices=7), tmp_path)

    row = Row(STAGE._replace(minutes=0.001), "plain", 0)
    left = tmp_path / row.name / "checkpoints" / "step-00000009-0.pt"
    left.parent.mkdir(parents=True)
    left.write_text("of another run")
    trained = train_row(row, tmp_path)
    assert not left.exists()
    assert json.loads((trained.folder / "finished.json").read_bytes())["steps"] == trained.steps


def test_rows_are_shared_out_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    document, out, said = written(tmp_path), tmp_path / "out", list[str]()
    jobs = [Fake("taken"), Fake("bad", fails=True), Fake("good")]
    with locked(out / "locks" / "taken"):
        assert work(jobs, out, document, said.append) == 1
    assert read_keys(document, "x") == {Key("good", 0, "f00")}
    assert said[:3] == [
        "taken: another program is at it",
        "bad: begun",
        "bad: FAILED: loss is not finite",
    ]
    assert work(jobs[:1], out, document, said.append) == 0
    assert read_keys(document, "x") == {Key("good", 0, "f00"), Key("taken", 0, "f00")}


def test_rows_stand_in_order_of_the_total_and_the_rest_of_the_text_stays(tmp_path: Path) -> None:
    document = written(tmp_path)
    figures = NOTHING._replace(organs=1.0, null=1.0, lookalikes=8.0)
    add_rows(
        document,
        "x",
        [cells(Key("unknown", 0, "f00"), NOTHING), cells(Key("far", 0, "f00"), figures)],
    )
    add_rows(document, "x", [cells(Key("near", 0, "f00"), figures._replace(null=0.5))])
    add_rows(document, "x", [cells(Key("far", 1, "f00"), figures._replace(null=0.25))])
    add_rows(document, "x", [cells(Key("far", 0, "f00"), figures._replace(null=2.0))])
    shown = [(row["total"], row["variant"], row["seed"]) for row in table(document, "x")]
    assert shown == [
        ("9.25", "far", "1"),
        ("9.50", "near", "0"),
        ("11.00", "far", "0"),
        ("-", "unknown", "0"),
    ]
    kept = [line for line in document.read_text().splitlines(keepends=True) if line[0] != "|"]
    assert "".join(kept) == EMPTY
    with pytest.raises(InputError, match="has no table of 'y'"):
        read_keys(document, "y")


def test_a_variant_that_is_no_config_is_told_before_anything_runs() -> None:
    bad = STAGE._replace(variants={"odd": {"model.generator.norms": "batch"}})
    with pytest.raises(ConfigError, match=r"^tiny-odd-0: .*norms"):
        check_stages([bad])
    with pytest.raises(ConfigError, match="there twice"):
        check_stages([STAGE, STAGE])
    with pytest.raises(ConfigError, match="no name for a folder"):
        check_stages([STAGE._replace(variants={"a/b": {}})])


def test_overrides_leave_the_recipe_as_it_is() -> None:
    recipe = {"a": {"b": 1, "c": 2}}
    assert override(recipe, {"a.b": 3, "d.e": 4}) == {"a": {"b": 3, "c": 2}, "d": {"e": 4}}
    assert recipe == {"a": {"b": 1, "c": 2}}


def test_the_stages_are_valid_and_the_document_has_their_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_stages(STAGES)
    for job in jobs_of(STAGES):
        is_done(job, DOCUMENT)
    assert main([str(tmp_path), "--list", "--stage", STAGES[0].name]) == 0
    listed = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert listed == [row.name for row in rows_of(STAGES[0])]
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--rows", "nobody"])
