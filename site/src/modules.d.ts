// Types of parts of packages that have none: proj4 imported part by part, so that only one
// projection is bundled, and the few calls of sql.js that a download needs.
declare module "proj4/lib/core" {
  type Pair = [number, number];
  export default function proj4(
    from: string,
    to: string,
  ): { forward(point: Pair): Pair; inverse(point: Pair): Pair };
}
declare module "proj4/lib/projections" {
  const projections: { add(projection: unknown): void };
  export default projections;
}
declare module "proj4/lib/projections/etmerc" {
  const tmerc: unknown;
  export default tmerc;
}
declare module "sql.js" {
  type Value = string | number | null | Uint8Array;
  interface Statement {
    run(values: Value[]): void;
    free(): void;
  }
  interface Database {
    run(sql: string, values?: Value[]): void;
    prepare(sql: string): Statement;
    export(): Uint8Array;
    close(): void;
  }
  export default function start(settings: {
    wasmBinary: ArrayBuffer;
  }): Promise<{ Database: new () => Database }>;
}
