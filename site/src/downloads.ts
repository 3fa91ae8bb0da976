// What is shown as a file, made in the browser: CSV, GeoJSON, GeoPackage, GeoParquet.
import type { Row } from "./ranking";
import { centre } from "./grid";
import { corners } from "./projection";

export type Value = string | number | boolean | null;
export type Kind = "text" | "integer" | "real" | "boolean";
export interface Column {
  name: string;
  kind: Kind;
  values: Value[];
}

export interface What {
  rows: Row[];
  scope: string;
  crimeType: string;
  windowMonths: number;
  windows: number;
  /** The month that the figures are of, and whether it is one of the 36 that was chosen. */
  month: string;
  isChosen: boolean;
  /** For the name of the file. */
  mapMonth: string;
  typeSlug: string;
}

/** A name that says what is in the file, without its ending. */
export function fileName({ scope, typeSlug, windowMonths: w, month, isChosen, mapMonth }: What): string {
  const to = isChosen ? `-to-${month}` : "";
  return `hotspots-${mapMonth}-${scope}-${typeSlug}-${w}-month${w === 1 ? "" : "s"}${to}`;
}

/** The columns of a download, without the geometry. */
export function columns(what: What): Column[] {
  const { rows } = what;
  const of = (name: string, kind: Kind, value: (row: Row) => Value): Column => ({
    name,
    kind,
    values: rows.map(value),
  });
  const metres = (metre: number) => Math.round(metre * 1000) / 1000;
  return [
    of("rank", "integer", (row) => (what.isChosen ? row.rankInMonth : row.rank)),
    of("hex_id", "integer", (row) => row.id),
    of("scope", "text", () => what.scope),
    of("crime_type", "text", () => what.crimeType),
    of("window_months", "integer", () => what.windowMonths),
    of("month", "text", () => what.month),
    of("hits", "integer", (row) => row.hits),
    of("windows", "integer", () => what.windows),
    of("frequency", "real", (row) => row.frequency),
    of("persistence", "text", (row) => row.persistence),
    of("crimes", "integer", (row) => row.crimes),
    of("tied", "boolean", (row) => row.tied),
    of("force", "text", (row) => row.force),
    of("lsoa", "text", (row) => row.lsoa),
    of("place", "text", (row) => row.place),
    of("easting", "real", (row) => metres(centre(row.id)[0])),
    of("northing", "real", (row) => metres(centre(row.id)[1])),
  ];
}

/** The outline of a cell in WGS84, closed, to the centimetre. */
export function ring(id: number): [number, number][] {
  const places = corners(id).map(
    ([x, y]) => [Number(x.toFixed(7)), Number(y.toFixed(7))] as [number, number],
  );
  return [...places, places[0]!];
}

/** The outline as well-known binary: a polygon of one ring. */
export function wellKnownBinary(id: number): Uint8Array {
  const points = ring(id);
  const view = new DataView(new ArrayBuffer(13 + 16 * points.length));
  view.setUint8(0, 1);
  view.setUint32(1, 3, true);
  view.setUint32(5, 1, true);
  view.setUint32(9, points.length, true);
  points.flat().forEach((part, i) => view.setFloat64(13 + 8 * i, part, true));
  return new Uint8Array(view.buffer);
}

function csv(what: What): string {
  const all = columns(what);
  const quoted = (value: Value) => {
    const text = value === null ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const line = (nth: number) => all.map(({ values }) => quoted(values[nth]!)).join(",");
  return [all.map(({ name }) => name).join(","), ...what.rows.map((_, i) => line(i)), ""].join("\n");
}

function geoJson(what: What): string {
  const all = columns(what);
  const features = what.rows.map((row, i) => ({
    type: "Feature",
    id: row.id,
    properties: Object.fromEntries(all.map(({ name, values }) => [name, values[i]!])),
    geometry: { type: "Polygon", coordinates: [ring(row.id)] },
  }));
  return JSON.stringify({ type: "FeatureCollection", features });
}

type Format = { ending: string; type: string; make(what: What): Promise<BlobPart> };
export const FORMATS: Record<string, Format> = {
  CSV: { ending: "csv", type: "text/csv", make: async (what) => csv(what) },
  GeoJSON: { ending: "geojson", type: "application/geo+json", make: async (what) => geoJson(what) },
  GeoPackage: {
    ending: "gpkg",
    type: "application/geopackage+sqlite3",
    make: async (what) => (await import("./geopackage")).geoPackage(what),
  },
  GeoParquet: {
    ending: "parquet",
    type: "application/vnd.apache.parquet",
    make: async (what) => (await import("./geoparquet")).geoParquet(what),
  },
};

/** Makes the file and hands it to the reader. */
export async function download(format: string, what: What): Promise<void> {
  const { ending, type, make } = FORMATS[format]!;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([await make(what)], { type }));
  link.download = `${fileName(what)}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
