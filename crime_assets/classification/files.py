"""What lies beside the tables, for people and other programs: CSV, GeoPackage, models, reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from crime_assets.classification import charts, report
from crime_assets.classification.model_card import model_card
from crime_assets.classification.predicting import Explained
from crime_assets.classification.report import Result
from crime_assets.forecasting.model_card import Card
from crime_assets.lake import create
from crime_assets.models import classifiers
from crime_assets.models.classifiers import CLASSIFIERS
from crime_assets.storage import Folder, atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_KINDS = {"force": "police force", "deprivation": "fifth of deprivation"}

IMPORTANCES = "importances.csv"


def folder(data_dir: Folder, month: str, model: str) -> Folder:
    """``classifiers/<month>/<model>`` in the data folder."""
    return data_dir / "classifiers" / month / model


def write_predictions(
    connection: duckdb.DuckDBPyConnection, folder: Folder, scope: str
) -> list[Folder]:
    """The areas of ``scope`` with their classes, as CSV and as GeoPackage (EPSG:27700).

    Needs ``lsoa_predictions`` of one cut-off and model, and ``lsoa_areas``.
    """
    create(connection, "classification/foretold", scope=scope)
    options = {
        "predictions.csv": ("* exclude (geometry)", "format csv, header"),
        "predictions.gpkg": (
            "*",
            "format gdal, driver 'GPKG', srs 'EPSG:27700', layer_name 'predictions'",
        ),
    }
    written = []
    for name, (columns, how) in options.items():
        with atomic(folder / name) as temporary:
            quoted = str(temporary).replace("'", "''")
            connection.execute(f"copy (select {columns} from foretold) to '{quoted}' ({how})")
        written.append(folder / name)
    return written


def write_models(
    explained: Sequence[Explained], folder: Folder, model: str, provenance: Mapping[str, object]
) -> list[Folder]:
    """Each fitted model with skops, what its features were worth as one CSV, and the model card.

    The card has no figures yet: they follow when the classes are judged.
    """
    import pandas as pd

    written = write_card(folder, model_card(model, CLASSIFIERS[model], None, "", provenance))
    fitted = [one for one in explained if one.fitted.estimator is not None]
    for one in fitted:
        path = folder / f"{one.label}.skops"
        with atomic(path) as temporary:
            classifiers.save(one.fitted, one.names, temporary)
        written.append(path)
    if fitted:
        frames = [
            pd.DataFrame(
                {
                    "label": one.label,
                    "feature": one.names,
                    "permutation": one.permutation,
                    "impurity": one.impurity,
                }
            )
            for one in fitted
        ]
        path = folder / IMPORTANCES
        with atomic(path) as temporary:
            pd.concat(frames).to_csv(temporary, index=False, float_format="%.6g")
        written.append(path)
    return written


def charts_of(result: Result) -> dict[str, Figure]:
    """The pictures of one prediction whose outcome is known."""
    shown = (result.truth, result.probabilities, result.titles)
    return {
        "confusion": charts.confusion_matrix(result.truth, result.predicted, result.titles),
        "roc": charts.roc_curves(*shown),
        "precision_recall": charts.precision_recall_curves(*shown),
        "calibration": charts.calibration_curves(*shown),
    }


def write_judged(
    folder: Folder,
    model: str,
    results: Sequence[Result],
    evaluations: pd.DataFrame,
    *,
    scope: str,
    pair: tuple[str, str],
    groups: Mapping[str, Mapping[str, str]],
    moran: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, object],
) -> list[Folder]:
    """The report and the model card, of the ``results`` of ``scope``, as pages that stand alone.

    ``results`` are of the model and of last year's class; importances are read from the file beside
    the predictions.
    """
    import pandas as pd

    of_scope = [result for result in results if result.scope == scope]
    importances = {}
    if (folder / IMPORTANCES).exists():
        with (folder / IMPORTANCES).open() as file:
            table = pd.read_csv(file)
        importances = {(scope, str(label)): rows for label, rows in table.groupby("label")}
    page = report.report(
        of_scope,
        model=model,
        cut_off=str(provenance["cut-off"]),
        pair=pair,
        importances=importances,
        groups={_KINDS[kind]: of for kind, of in groups.items()},
        moran=[{"scope": row["scope"], "what": row["class"], **_two(row)} for row in moran],
        provenance=provenance,
    )
    card = model_card(model, CLASSIFIERS[model], evaluations, scope, provenance)
    with atomic(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return [folder / "report.html", *write_card(folder, card)]


def write_card(folder: Folder, card: Card) -> list[Folder]:
    """The model card as a page and as Markdown."""
    texts = {"model_card.html": card.html(), "model_card.md": card.markdown()}
    for name, text in texts.items():
        with atomic(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _two(row: Mapping[str, Any]) -> dict[str, float]:
    return {"value": row["value"], "p_value": row["p_value"]}
