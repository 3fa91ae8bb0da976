// A download as GeoPackage 1.3: one layer, in longitude and latitude.
import start from "sql.js";
import program from "sql.js/dist/sql-wasm-browser.wasm?url";
import { columns, fileName, ring, wellKnownBinary, type What } from "./downloads";

const WGS84 = 4326;
const TYPES = { text: "TEXT", integer: "INTEGER", real: "DOUBLE", boolean: "BOOLEAN" } as const;
const WKT =
  'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],' +
  'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]';
// the tables that the standard asks for, and its mark in the file's header
const TABLES = `
pragma application_id = 1196444487;
pragma user_version = 10300;
create table gpkg_spatial_ref_sys (srs_name text not null, srs_id integer primary key,
  organization text not null, organization_coordsys_id integer not null,
  definition text not null, description text);
create table gpkg_contents (table_name text not null primary key, data_type text not null,
  identifier text unique, description text default '', last_change datetime not null
  default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), min_x double, min_y double, max_x double,
  max_y double, srs_id integer references gpkg_spatial_ref_sys (srs_id));
create table gpkg_geometry_columns (table_name text not null primary key
  references gpkg_contents (table_name), column_name text not null,
  geometry_type_name text not null, srs_id integer not null
  references gpkg_spatial_ref_sys (srs_id), z tinyint not null, m tinyint not null);
insert into gpkg_spatial_ref_sys values
  ('Undefined Cartesian SRS', -1, 'NONE', -1, 'undefined', null),
  ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', null),
  ('WGS 84 geodetic', ${WGS84}, 'EPSG', ${WGS84}, '${WKT}', 'longitude and latitude');
`;

/** The outline behind the standard's header: its reference system and its bounds. */
function blob(id: number): Uint8Array {
  const points = ring(id);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const bounds = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const head = new DataView(new ArrayBuffer(40));
  head.setUint16(0, 0x4750); // "GP"
  head.setUint8(3, 0b00000011);
  head.setInt32(4, WGS84, true);
  bounds.forEach((bound, i) => head.setFloat64(8 + 8 * i, bound, true));
  const shape = wellKnownBinary(id);
  const whole = new Uint8Array(40 + shape.length);
  whole.set(new Uint8Array(head.buffer));
  whole.set(shape, 40);
  return whole;
}

export async function geoPackage(what: What): Promise<Uint8Array<ArrayBuffer>> {
  const wasmBinary = await (await fetch(program)).arrayBuffer();
  const sql = await start({ wasmBinary });
  const database = new sql.Database();
  const all = columns(what);
  const points = what.rows.flatMap((row) => ring(row.id));
  const bound = (of: (a: number, b: number) => number, axis: 0 | 1) =>
    points.length ? points.map((point) => point[axis]).reduce((a, b) => of(a, b)) : null;
  database.run(TABLES);
  const fields = all.map(({ name, kind }) => `${name} ${TYPES[kind]}`).join(", ");
  database.run(
    `create table hotspots (fid integer primary key autoincrement, geom polygon, ${fields})`,
  );
  database.run(
    "insert into gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, " +
      "srs_id) values ('hotspots', 'features', ?, ?, ?, ?, ?, ?)",
    [
      fileName(what),
      bound(Math.min, 0),
      bound(Math.min, 1),
      bound(Math.max, 0),
      bound(Math.max, 1),
      WGS84,
    ],
  );
  database.run(
    `insert into gpkg_geometry_columns values ('hotspots', 'geom', 'POLYGON', ${WGS84}, 0, 0)`,
  );
  const insert = database.prepare(
    `insert into hotspots (geom, ${all.map(({ name }) => name).join(", ")}) ` +
      `values (?${", ?".repeat(all.length)})`,
  );
  database.run("begin");
  what.rows.forEach((row, i) => {
    const values = all.map(({ values }) => values[i]!);
    insert.run([blob(row.id), ...values.map((v) => (typeof v === "boolean" ? Number(v) : v))]);
  });
  database.run("commit");
  insert.free();
  const bytes = database.export() as Uint8Array<ArrayBuffer>;
  database.close();
  return bytes;
}
