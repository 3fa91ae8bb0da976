// A download as GeoParquet 1.1: outlines as well-known binary, in longitude and latitude.
import { parquetWriteBuffer } from "hyparquet-writer";
import { columns, ring, wellKnownBinary, type Kind, type What } from "./downloads";

const TYPES = { text: "STRING", integer: "INT32", real: "DOUBLE", boolean: "BOOLEAN" } as const;

export function geoParquet(what: What): ArrayBuffer {
  const points = what.rows.flatMap((row) => ring(row.id));
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const least = (values: number[]) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = (values: number[]) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  const geo = {
    version: "1.1.0",
    primary_column: "geometry",
    columns: {
      geometry: {
        encoding: "WKB",
        geometry_types: ["Polygon"],
        orientation: "counterclockwise",
        ...(points.length ? { bbox: [least(xs), least(ys), most(xs), most(ys)] } : {}),
      },
    },
  };
  const columnData = columns(what).map(({ name, kind, values }) => ({
    name,
    data: values,
    type: TYPES[kind satisfies Kind],
    nullable: true,
  }));
  const geometry = {
    name: "geometry",
    data: what.rows.map((row) => wellKnownBinary(row.id)),
    type: "BYTE_ARRAY" as const,
    nullable: false,
  };
  return parquetWriteBuffer({
    columnData: [...columnData, geometry],
    kvMetadata: [{ key: "geo", value: JSON.stringify(geo) }],
  });
}
