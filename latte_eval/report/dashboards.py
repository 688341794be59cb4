"""Series of results to TensorBoard, Weights & Biases and MLflow. Each is an extra, and imported when it is used."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from latte_eval.core.errors import StoreError, UsageError, first_line
from latte_eval.report.series import Point, Series

# Written, and there already.
Counts = tuple[int, int]
LOGGED = "latte_eval_logged"


def imported(module: str, extra: str) -> Any:
    """A module of an extra. Raises `UsageError` that names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"--{extra} takes {module.partition('.')[0]}: pip install 'latte-eval[{extra}]'") from error


@contextmanager
def told_as_store_error(name: str, *kinds: type[BaseException], advice: str = "") -> Iterator[None]:
    """What a service raises as a `StoreError` of one line, with what to type instead."""
    failures: tuple[type[BaseException], ...] = (OSError, *kinds)
    try:
        yield
    except failures as error:
        said = "; ".join(filter(None, (first_line(error).rstrip("."), advice, "what was logged before is kept")))
        raise StoreError(f"{name}: {said}") from error


def log_tensorboard(many: Sequence[Series], folder: Path) -> Counts:
    """Event files, a folder a series: scalars by step, and protocol and sampler as hyperparameters.

    A scalar that a folder has already, with the same step and value, is not written again. Values are float32 there.
    """
    accumulators = imported("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
    written = there = 0
    for series in many:
        place = folder / series.name
        with told_as_store_error(str(place)):
            held = tensorboard_scalars(accumulators, place)
            new = [(point, {tag: value for tag, value in point.scalars.items()
                            if (tag, point.step, float32(value)) not in held}) for point in series.points]  # fmt: skip
            write_events(place, series, new, with_config=not held)
        count = sum(len(scalars) for _, scalars in new)
        written, there = written + count, there + sum(len(each.scalars) for each in series.points) - count
    return written, there


def tensorboard_scalars(accumulators: Any, place: Path) -> set[tuple[str, int, float]]:
    """Tag, step and value of all scalars in a folder."""
    if not place.is_dir():
        return set()
    events = accumulators.EventAccumulator(str(place), size_guidance={accumulators.SCALARS: 0})
    events.Reload()
    return {(tag, each.step, each.value) for tag in events.Tags()["scalars"] for each in events.Scalars(tag)}


def write_events(
    place: Path, series: Series, points: Sequence[tuple[Point, dict[str, float]]], with_config: bool
) -> None:
    """An event file with these scalars; none where there are none."""
    if not any(scalars for _, scalars in points):
        return
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    with SummaryWriter(str(place)) as writer:
        if with_config:
            newest = {tag: value for point in series.points for tag, value in point.scalars.items()}
            for summary in hparams(dict(series.config), newest):
                writer._get_file_writer().add_summary(summary)
        for point, scalars in points:
            for tag, value in scalars.items():
                writer.add_scalar(tag, value, point.step, walltime=point.time)


def float32(value: float) -> float:
    """As TensorBoard stores it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def log_wandb(many: Sequence[Series], project: str) -> Counts:
    """A run a series, whose id follows from it: the same run again, where the server has it.

    Its summary says which results it holds, and these are not written again. In offline mode nobody can tell: each
    call writes a folder of its own, of which one is to be synced.
    """
    wandb = imported("wandb", "wandb")
    written = there = 0
    with told_as_store_error("wandb", wandb.Error, advice="without a server: WANDB_MODE=offline"):
        for series in many:
            run = wandb.init(
                project=project, id=f"latte-{series.key}", name=series.name, config=series.config, resume="allow",
                settings=wandb.Settings(silent=True, console="off"),
            )  # fmt: skip
            run.define_metric("checkpoint_step")
            run.define_metric("*", step_metric="checkpoint_step")
            held = [str(each) for each in run.summary.get(LOGGED) or []]
            new = [point for point in series.points if point_id(point) not in held]
            for point in new:
                run.log({**point.scalars, "checkpoint_step": point.step})
            run.summary[LOGGED] = [*held, *map(point_id, new)]
            run.finish()
            written += sum(len(point.scalars) for point in new)
            there += sum(len(point.scalars) for point in series.points if point not in new)
        wandb.teardown()  # brings to the disk what its service holds
    return written, there


def point_id(point: Point) -> str:
    """A point as a text by which it is known again."""
    return " ".join([str(point.step), *(f"{tag}={value!r}" for tag, value in sorted(point.scalars.items()))])


def log_mlflow(many: Sequence[Series], project: str) -> Counts:
    """A run a series, found again by its tag: a value that it has at a step is not written again.

    The store is the one that MLFLOW_TRACKING_URI names; see `name_mlflow_store`.
    """
    name_mlflow_store()
    mlflow = imported("mlflow", "mlflow")
    written = there = 0
    with told_as_store_error("mlflow", mlflow.exceptions.MlflowException):
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(project)
        experiment = found.experiment_id if found else client.create_experiment(project)
        for series in many:
            run = mlflow_run(client, experiment, series)
            held = mlflow_scalars(client, run)
            for point in series.points:
                for tag, value in point.scalars.items():
                    if (tag, point.step, value) in held:
                        there += 1
                        continue
                    client.log_metric(run.info.run_id, tag, value, int(point.time * 1000), point.step)
                    written += 1
            client.set_terminated(run.info.run_id)
    return written, there


def name_mlflow_store() -> None:
    """The folder ./mlruns where nobody names a store and the usual one, a database, takes more than the extra installs.

    MLflow 3 opens a folder only for who says so: who names one does.
    """
    if not has_distribution("mlflow"):
        os.environ.setdefault("MLFLOW_TRACKING_URI", "file:./mlruns")
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")


def has_distribution(name: str) -> bool:
    """Whether a package of this name is installed; mlflow-skinny brings the same module as mlflow."""
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def mlflow_run(client: Any, experiment: str, series: Series) -> Any:
    """The run of a series, with its parameters; made where there is none."""
    tagged = client.search_runs([experiment], f"tags.`latte_eval.series` = '{series.key}'")
    if tagged:
        return tagged[0]
    run = client.create_run(experiment, run_name=series.name, tags={"latte_eval.series": series.key})
    for name, value in series.config.items():
        client.log_param(run.info.run_id, name, value)
    return run


def mlflow_scalars(client: Any, run: Any) -> set[tuple[str, int, float]]:
    """Tag, step and value of all that a run has."""
    histories = (client.get_metric_history(run.info.run_id, tag) for tag in run.data.metrics)
    return {(each.key, each.step, each.value) for history in histories for each in history}


def quiet_services() -> None:
    """No telemetry, and no talk of services on the terminal. What a person has set stays."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
