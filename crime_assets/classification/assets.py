"""Assets of risk classes: what each model foretells of areas, and how it is judged.

One asset a model, as for forecasts, so that a model is added, run and read about by itself.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import numpy as np

from crime_assets import DataError
from crime_assets.classification import (
    conformal,
    design,
    files,
    judging,
    predicting,
    report,
    scoring,
    splits,
)
from crime_assets.classification.design import Areas, areas_of
from crime_assets.classification.predicting import (
    Explained,
    NoClasses,
    Predicted,
    foretell,
    held_out,
)
from crime_assets.classification.report import Result as Judged
from crime_assets.forecasting.report import place_title
from crime_assets.hexes.pictures import as_markdown, png, png_as_markdown
from crime_assets.lake import DuckDB, Lake, create, sql
from crime_assets.lsoa import labels, moran
from crime_assets.lsoa.assets import lsoa_areas, lsoa_features, lsoa_labels
from crime_assets.lsoa.labels import LABELS
from crime_assets.lsoa.neighbours import link, touching
from crime_assets.lsoa.pictures import Outlines, bivariate_map, tier_map
from crime_assets.models import classifiers
from crime_assets.models.classifiers import CLASSIFIERS, NAIVE_CLASS, Classifier
from crime_assets.partitions import months, months_back, window
from crime_assets.publication import (
    Result,
    audit,
    code_of,
    markdown_table,
    preview,
    publish_each,
    table_asset,
    table_metadata,
)
from crime_assets.settings import Settings
from crime_assets.storage import Folder, atomic
from crime_assets.tables import LSOA_EVALUATIONS, LSOA_FEATURES, LSOA_LABELS, LSOA_PREDICTIONS

if TYPE_CHECKING:
    import pandas as pd

GROUP = "classification"
YEAR = 12


# --- What is asked --------------------------------------------------------------------------


def _pair_of_labels(
    connection: duckdb.DuckDBPyConnection, lake: Lake, labelled: Sequence[str]
) -> tuple[str, str]:
    """The two types that the labels of these cut-offs were made of; they must be the same."""
    pairs = {
        month: tuple(lake.provenance(connection, LSOA_LABELS.name, {"month": month})["bivariate"])
        for month in labelled
    }
    if len(set(pairs.values())) > 1:
        told = "; ".join(f"{month}: {' x '.join(pair)}" for month, pair in pairs.items())
        raise DataError(f"lsoa_labels are of different pairs of types ({told}): materialise again")
    first, second = next(iter(pairs.values()))
    return first, second


def _frame(connection: duckdb.DuckDBPyConnection, month: str, scope: str) -> "pd.DataFrame":
    """The areas of one scope at one cut-off. Needs features, labels and areas as views."""
    return connection.execute(sql("classification/areas"), {"month": month, "scope": scope}).df()


def _scopes(connection: duckdb.DuckDBPyConnection, month: str) -> list[str]:
    """The scopes of a cut-off, the one with the most areas first: the nation."""
    found = connection.execute(
        "select scope from lsoa_features where month = $month group by scope "
        "order by count(*) desc, scope = any_value(force), scope",
        {"month": month},
    ).fetchall()
    return [scope for (scope,) in found]


# --- Predictions ----------------------------------------------------------------------------


def _predictions(model: str, classifier: Classifier) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset(
            LSOA_PREDICTIONS,
            part=model,
            group=GROUP,
            statements=["classification/lsoa_predictions", "classification/areas"],
            constants=(model, code_of(classifiers, conformal, design, labels, predicting, splits)),
            partitions_def=months,
            deps=[
                # of the cut-off and of the one a year before; a window has those between, too
                dg.AssetDep(lsoa_features, partition_mapping=window(YEAR)),
                dg.AssetDep(lsoa_labels, partition_mapping=window(YEAR)),
                lsoa_areas,
            ],
            audits={
                "probabilities_add_up": "Each area stands once in a scope, split and label, and "
                "its probabilities are none below nought and sum to one.",
            },
            description=_description(
                "The class of an LSOA in the twelve months after the cut-off, as the model "
                "foretells it.",
                model,
                classifier,
                "Fitted on `lsoa_features` and `lsoa_labels` of the cut-off twelve months before, "
                "all of which was known at the cut-off (split `time`). Once the labels of the "
                "cut-off itself are there, also on parts of its own areas: to other land "
                "(`space`), to other forces (`force`), and to random parts (`random`: "
                "optimistic). The fitted models of the nation, importances, a CSV and a GeoPackage "
                "lie in `classifiers/` of the data folder.",
            ),
        )
    )
    def lsoa_predictions(
        context: dg.AssetExecutionContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.Output]:
        def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            month = partition["month"]
            before = months_back(month, YEAR + 1)[0]
            lake.view(connection, LSOA_FEATURES.name, [{"month": before}, {"month": month}])
            judged = lake.has(LSOA_LABELS.name, {"month": month})
            labelled = [before, month] if judged else [before]
            lake.view(connection, LSOA_LABELS.name, [{"month": m} for m in labelled])
            lake.view(connection, "lsoa_areas")
            pair = _pair_of_labels(connection, lake, labelled)
            scopes = _scopes(connection, month)
            known_before = _scopes(connection, before)
            asked: list[_Asked] = []
            left_out: list[tuple[str, str]] = []
            for scope in scopes:
                if scope not in known_before:
                    left_out.append((scope, f"its areas have no whole year up to {before}"))
                    continue
                fitted_on = areas_of(_frame(connection, before, scope), pair)
                asked.append((scope, fitted_on, areas_of(_frame(connection, month, scope), pair)))
            rows: list[tuple[str, Predicted]] = []
            explained: list[Explained] = []
            for scope, label, outcome in _classified(
                classifier, asked, settings.threads, judged, scopes[0]
            ):
                if isinstance(outcome, NoClasses):
                    left_out.append((scope, str(outcome)))
                    continue
                rows += [(scope, predicted) for predicted in outcome[0]]
                explained += outcome[1]
                context.log.debug(f"{scope}, {label}: classified")
            used = design.common_features(asked[0][1:]) if asked else []
            if not rows:
                raise NoClasses("; ".join(f"{scope}: {why}" for scope, why in left_out))
            _register(connection, rows)
            create(connection, "classification/lsoa_predictions")
            audit(connection, "classification/audits/probabilities_add_up")
            place = {**partition, "model": model}
            published = lake.publish(
                connection, LSOA_PREDICTIONS.name, LSOA_PREDICTIONS.name, place
            )
            folder = files.folder(settings.data_dir, month, model)
            written = files.write_predictions(connection, folder, scopes[0])
            told = {
                "cut-off": month,
                "fitted on": f"{before}, and the twelve months after it",
                **{
                    f"{table.name} {m}": lake.sha256(table.name, {"month": m})
                    for table, m in ((LSOA_FEATURES, before), (LSOA_LABELS, before))
                },
                f"{LSOA_FEATURES.name} {month}": lake.sha256(LSOA_FEATURES.name, partition),
            }
            written += files.write_models(explained, folder, model, told)
            metadata = table_metadata(connection, LSOA_PREDICTIONS.name, published)
            metadata |= {
                "scopes": len({scope for scope, _ in rows}),
                "splits": ", ".join(sorted({p.split for _, p in rows})),
                "fitted_on": f"features of {before}, and the twelve months after it",
                "features": ", ".join(used),
                "not_used": ", ".join(n for n in asked[0][1].names if n not in used) or "none",
                "preview": preview(connection, "classification/previews/most_probable"),
                "files": dg.MetadataValue.md("\n".join(f"- `{path}`" for path in written)),
            }
            if left_out:
                metadata["left_out"] = markdown_table(["scope", "why"], left_out)
            figures = {"rows": published.rows, "scopes": metadata["scopes"]}
            return Result(published.sha256, metadata, {"probabilities_add_up": figures})

        yield from publish_each(context, engine, publish)

    return lsoa_predictions


_Asked = tuple[str, Areas, Areas]
"""A scope, its areas a year before the cut-off, and at the cut-off."""

_Classified = tuple[list[Predicted], list[Explained]]


def _classified(
    classifier: Classifier, asked: Sequence[_Asked], threads: int, judged: bool, explained: str
) -> Iterator[tuple[str, str, _Classified | NoClasses]]:
    """Each scope and label with all that is said of it, as many at a time as there are threads.

    Each has one thread: threads that share a small fit spend their time waiting for each other.
    The label of most classes takes longest, and comes first.
    """
    from threadpoolctl import threadpool_limits

    def classify(task: tuple[_Asked, str]) -> tuple[str, str, _Classified | NoClasses]:
        (scope, before, now), label = task
        try:
            with threadpool_limits(1, "openmp"):  # whose limit is that of the thread which sets it
                predicted, how = foretell(
                    classifier, before, now, label, explain=scope == explained
                )
                names = design.common_features([before, now])
                rest = held_out(classifier, now, label, names) if judged else ()
                return scope, label, ([predicted, *rest], [how] if how else [])
        except NoClasses as error:
            return scope, label, error

    tasks = [(one, label) for one in asked for label in reversed(LABELS)]
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        yield from pool.map(classify, tasks)


def _register(connection: duckdb.DuckDBPyConnection, rows: Sequence[tuple[str, Predicted]]) -> None:
    """Let ``prediction_rows`` and ``sets_of_classes`` be views of what was foretold."""
    import pandas as pd

    most = max(map(len, LABELS.values()))
    frames = []
    sets: dict[tuple[str, int], list[str]] = {}
    for scope, predicted in rows:
        names = np.array(LABELS[predicted.label])
        k = len(names)
        padded = np.full((len(predicted.codes), most), np.nan)
        padded[:, :k] = predicted.probabilities
        columns: dict[str, Any] = {
            "scope": scope,
            "split": predicted.split,
            "label": predicted.label,
            "lsoa21cd": predicted.codes,
            "predicted": names[predicted.predicted],
            "k": k,
            "bits": -1,
        }
        if predicted.sets is not None:
            columns["bits"] = predicted.sets @ (1 << np.arange(k))
            for bits in np.unique(columns["bits"]):
                members = [str(name) for at, name in enumerate(names) if bits >> at & 1]
                sets[predicted.label, int(bits)] = members
        columns |= {f"p{at}": padded[:, at] for at in range(most)}
        frames.append(pd.DataFrame(columns))
    connection.register("prediction_rows", pd.concat(frames, ignore_index=True))
    connection.register(
        "sets_of_classes",
        pd.DataFrame(
            [(label, bits, members) for (label, bits), members in sets.items()],
            columns=["label", "bits", "conformal_set"],
        ),
    )


# --- Evaluations ----------------------------------------------------------------------------


def _evaluations(model: str, classifier: Classifier) -> dg.AssetsDefinition:
    foretold = [dg.AssetKey([LSOA_PREDICTIONS.name, m]) for m in sorted({model, NAIVE_CLASS})]

    @dg.asset(
        **table_asset(
            LSOA_EVALUATIONS,
            part=model,
            group=GROUP,
            statements=["classification/lsoa_evaluations", "classification/areas"],
            constants=(model, code_of(design, judging, labels, moran, report, scoring)),
            partitions_def=months,
            deps=[*foretold, lsoa_features, lsoa_labels, lsoa_areas],
            audits={
                "figures_fit": "Each figure is there once, finite and within its range, and its "
                "interval is one.",
            },
            description=_description(
                "A figure by which the model's classes of one cut-off are judged.",
                model,
                classifier,
                "From `lsoa_predictions` and `lsoa_labels` of the cut-off: accuracy, F1, AUROC, "
                "Brier score and calibration with intervals from resampled blocks of land; the "
                "difference to `same_class`; rates by force and by deprivation; Moran's I. A "
                "report, a model card and maps lie in `classifiers/` of the data folder.",
            ),
        )
    )
    def lsoa_evaluations(
        context: dg.AssetExecutionContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.Output]:
        def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            month = partition["month"]
            for table in (LSOA_FEATURES, LSOA_LABELS):
                lake.view(connection, table.name, [partition])
            lake.view(connection, "lsoa_areas")
            pair = _pair_of_labels(connection, lake, [month])
            scopes = _scopes(connection, month)
            frames = {scope: _frame(connection, month, scope) for scope in scopes}
            found = {
                name: _results(connection, lake, month, name, frames)
                for name in sorted({model, NAIVE_CLASS})
            }
            nation = frames[scopes[0]]
            groups = _groups(nation)
            in_time = found[model].get((scopes[0], splits.TIME, "is_hotspot"))
            rows = judging.evaluation_rows(found[model], found[NAIVE_CLASS], groups)
            pattern = list(_moran(connection, nation, in_time)) if in_time else []
            if pattern:
                import pandas as pd

                rows = pd.concat([rows, pd.DataFrame(pattern, columns=rows.columns)])
            connection.register("evaluation_rows", rows)
            create(connection, "classification/lsoa_evaluations")
            audit(connection, "classification/audits/figures_fit")
            place = {**partition, "model": model}
            published = lake.publish(
                connection, LSOA_EVALUATIONS.name, LSOA_EVALUATIONS.name, place
            )
            figures = {
                "rows": published.rows,
                "scopes": len({scope for scope, _, _ in found[model]}),
            }
            folder = files.folder(settings.data_dir, month, model)
            provenance = {
                "cut-off": month,
                "predictions": lake.sha256(LSOA_PREDICTIONS.name, place),
                "labels": lake.sha256(LSOA_LABELS.name, partition),
                "features": lake.sha256(LSOA_FEATURES.name, partition),
            }
            evaluations = connection.execute("from lsoa_evaluations").df()
            written = files.write_judged(
                folder,
                model,
                [
                    *found[model].values(),
                    *(found[NAIVE_CLASS].values() if model != NAIVE_CLASS else []),
                ],
                evaluations,
                scope=scopes[0],
                pair=pair,
                groups=groups,
                moran=pattern,
                provenance=provenance,
            )
            metadata = table_metadata(connection, LSOA_EVALUATIONS.name, published) | figures
            metadata |= {
                "preview": preview(connection, "classification/previews/figures", scope=scopes[0]),
                "files": dg.MetadataValue.md("\n".join(f"- `{path}`" for path in written)),
                **_pictures(connection, nation, found[model], scopes[0], pair, month, folder),
            }
            return Result(published.sha256, metadata, {"figures_fit": figures})

        yield from publish_each(context, engine, publish)

    return lsoa_evaluations


def _results(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    month: str,
    model: str,
    frames: Mapping[str, "pd.DataFrame"],
) -> dict[tuple[str, str, str], Judged]:
    """What a model said of areas whose outcome is known, by scope, split and label."""
    lake.view(connection, LSOA_PREDICTIONS.name, [{"month": month, "model": model}])
    found: dict[tuple[str, str, str], Judged] = {}
    for scope, frame in frames.items():
        places = frame[["easting", "northing"]].to_numpy(dtype=float)
        block = dict(zip(frame["lsoa21cd"], design.blocks_of(places).tolist(), strict=True))
        for split, label in connection.execute(
            "select distinct split, label from lsoa_predictions where scope = $scope order by all",
            {"scope": scope},
        ).fetchall():
            known = frame[frame[f"true_{label}"].notna()]
            if known.empty:
                continue
            rows = connection.execute(
                "select lsoa21cd, predicted, probabilities, conformal_set from lsoa_predictions "
                "where scope = $scope and split = $split and label = $label order by lsoa21cd",
                {"scope": scope, "split": split, "label": label},
            ).df()
            truth = dict(zip(known["lsoa21cd"], known[f"true_{label}"], strict=True))
            if rows["lsoa21cd"].isin(truth).any():
                found[scope, split, label] = Judged.from_table(
                    rows, truth, model=model, scope=scope, split=split, label=label, blocks=block
                )
    return found


def _groups(nation: "pd.DataFrame") -> dict[str, dict[str, str]]:
    """Areas by force, where there are several, and by fifth of deprivation, where it is given."""
    codes = nation["lsoa21cd"]
    found: dict[str, dict[str, str]] = {}
    if nation["force"].nunique() > 1:
        found["force"] = dict(zip(codes, nation["force"], strict=True))
    fifth = judging.fifths(nation["imd_rank"].to_numpy(dtype=float, na_value=np.nan))
    if (fifth != "").any():
        found["deprivation"] = {code: str(of) for code, of in zip(codes, fifth, strict=True) if of}
    return found


def _moran(
    connection: duckdb.DuckDBPyConnection, nation: "pd.DataFrame", result: Judged
) -> Iterator[dict[str, Any]]:
    """Moran's I among the areas of ``result``, from the outlines of ``lsoa_areas``."""
    every = connection.execute("select lsoa21cd from lsoa_areas order by 1").fetchnumpy()
    codes = np.asarray(every["lsoa21cd"]).astype(str)
    at = np.searchsorted(codes, np.asarray(result.areas).astype(str))
    neighbours = link(len(codes), *touching(connection))[at][:, at]
    became = nation.set_index("lsoa21cd").loc[result.areas]
    density, tier = (became[name].to_numpy(dtype=float) for name in ("true_density", "true_tier"))
    yield from judging.moran_rows(result, density, tier, neighbours)


def _pictures(
    connection: duckdb.DuckDBPyConnection,
    nation: "pd.DataFrame",
    results: Mapping[tuple[str, str, str], Judged],
    scope: str,
    pair: tuple[str, str],
    month: str,
    folder: Folder,
) -> dict[str, Any]:
    """What the UI shows of the split in time: confusion, curves, and the maps of what was said."""
    shown: dict[str, Any] = {}
    for label in LABELS:
        result = results.get((scope, splits.TIME, label))
        if result is None:
            continue
        for name, figure in files.charts_of(result).items():
            shown[f"{label}_{name}"] = dg.MetadataValue.md(as_markdown(figure))
        if label == "is_hotspot":
            continue
        outlines = Outlines.read(connection, [str(code) for code in result.areas])
        classes = np.array(LABELS[label])[result.predicted]
        note = f"Foretold from what was known at the end of {month}, for the twelve months after."
        figure = (
            tier_map(outlines, classes, f"Tiers of {place_title(scope)}", note)
            if label == "tier"
            else bivariate_map(outlines, classes, f"{pair[0]} x {pair[1]}", pair, note)
        )
        drawn = png(figure)
        with atomic(folder / f"{label}.png") as temporary:
            temporary.write_bytes(drawn)
        shown[f"{label}_map"] = dg.MetadataValue.md(png_as_markdown(drawn))
    return shown


def _description(row: str, model: str, classifier: Classifier, rest: str) -> str:
    """What the UI shows of an asset of one model."""
    return (
        f"{row}\n\n**{classifier.title}** (`{model}`). {classifier.what}\n\n"
        f"Source: {classifier.source}. Limits: {classifier.limits}\n\n{rest}"
    )


prediction_assets = [_predictions(model, classifier) for model, classifier in CLASSIFIERS.items()]
evaluation_assets = [_evaluations(model, classifier) for model, classifier in CLASSIFIERS.items()]
