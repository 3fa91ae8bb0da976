// The files of the site: what they hold, and how they are fetched and unpacked.

export interface Scope {
  slug: string;
  name: string;
  kind: string;
  k: number;
  bounds: [number, number, number, number];
}
export interface CrimeType {
  slug: string;
  name: string;
  counted: boolean;
}
export interface Force {
  name: string;
  coverage: string;
}
export interface MapFile {
  format: number;
  title: string;
  month: string;
  months: string[];
  data: string;
  releases: Record<string, number>;
  note: string | null;
  types: CrimeType[];
  windows: number[];
  scopes: Scope[];
  rankings: Record<string, Record<string, number>>;
  forces: Record<string, Force>;
  history?: boolean;
  layers?: {
    tiers?: { scopes: Record<string, number>; cut_off: string; bivariate: [string, string] };
    segments?: { forces: Record<string, number> };
    forecasts?: { models: string[]; rankings: Record<string, string[]> };
  };
  basemap: { tiles: string; attribution: string; max_zoom: number } | null;
  licences: string[];
  start: { type: string; window: number; scope: string };
}
/** The cells that were ever hot, in rank order: a column a key. */
export interface Ranking {
  scope: string;
  crime_type: string;
  window_months: number;
  month: string;
  k: number;
  windows: number;
  complete: number;
  tied: number;
  hex_id: number[];
  hits: number[];
  hot?: number[];
  crimes?: (number | null)[];
  persistence?: (number | null)[];
  points?: (number | null)[];
  largest?: (number | null)[];
  forces?: string[];
  force?: number[];
  lsoas?: string[];
  lsoa?: number[];
  places?: string[];
  place?: number[];
}
/** The crimes of each month, 36 numbers a cell, the cells in the order of the ranking. */
export interface History {
  crimes: number[];
}
/** Areas: each a list of polygons, each a list of rings of steps in metres. */
export interface Outlines {
  id: string[];
  name: string[];
  areas: number[][][][];
}
export interface Tiers {
  cut_off: string;
  forces: string[];
  lsoa21cd: string[];
  tier: (number | null)[];
  bivariate: (string | null)[];
  density: (number | null)[];
}
export interface Segments {
  name: (string | null)[];
  length_m: number[];
  lines: number[][];
  crimes: Record<string, { segment: number[]; crimes: number[] }>;
}
export interface Forecasts {
  cut_off: string;
  horizon_months: number;
  models: Record<string, number[]>;
}

/** What went wrong, in words for the reader. */
export class MapError extends Error {}
/** A file that map.json speaks of is not there. */
export class MissingFile extends MapError {}

export async function fetchMap(): Promise<MapFile> {
  const response = await fetch("map.json", { cache: "no-cache" }).catch(() => null);
  if (!response?.ok) {
    throw new MapError("The map's table of contents, map.json, could not be fetched.");
  }
  const map = (await response.json().catch(() => null)) as MapFile | null;
  if (map?.format !== 1) {
    throw new MapError("map.json is not of format 1, which this page reads. Rebuild the map.");
  }
  return map;
}

/** The files of one build of the map. Each is fetched once and kept. */
export class Files {
  private readonly kept = new Map<string, Promise<unknown>>();

  constructor(private readonly folder: string) {}

  ranking(scope: string, key: string): Promise<Ranking> {
    return this.get(`rankings/${scope}/${key}`);
  }
  history(scope: string, key: string): Promise<History> {
    return this.get(`history/${scope}/${key}`);
  }
  forces(): Promise<Outlines> {
    return this.get("outlines/forces");
  }
  lsoas(force: string): Promise<Outlines> {
    return this.get(`outlines/lsoas/${force}`);
  }
  tiers(scope: string): Promise<Tiers> {
    return this.get(`layers/tiers/${scope}`);
  }
  segments(force: string): Promise<Segments> {
    return this.get(`layers/segments/${force}`);
  }
  forecasts(scope: string, key: string): Promise<Forecasts> {
    return this.get(`layers/forecasts/${scope}/${key}`);
  }

  private get<T>(name: string): Promise<T> {
    let file = this.kept.get(name);
    if (!file) {
      file = fetchUnpacked(`${this.folder}/${name}.json.gz`);
      // a file that failed is asked for again the next time
      file.catch(() => this.kept.delete(name));
      this.kept.set(name, file);
    }
    return file as Promise<T>;
  }
}

async function fetchUnpacked(address: string): Promise<unknown> {
  const response = await fetch(address).catch(() => null);
  if (!response) throw new MapError(`${address} could not be fetched: is there a network?`);
  // object storage that may not be listed forbids what is not there
  if ([403, 404, 410].includes(response.status)) {
    throw new MissingFile(`${address} is not there (${response.status}).`);
  }
  if (!response.ok) throw new MapError(`${address} could not be fetched (${response.status}).`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // a server that declares the encoding has the browser unpack the file
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return JSON.parse(new TextDecoder().decode(bytes));
  if (typeof DecompressionStream === "undefined") {
    throw new MapError("This browser cannot unpack gzip files. Use one of 2024 or later.");
  }
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).json();
}
