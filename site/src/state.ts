// What the page shows, as the query of its address says it.
import type { MapFile } from "./data";
import { isCell } from "./grid";

const LAYERS = ["tiers", "bivariate", "segments", "forecasts"] as const;
export type Layer = (typeof LAYERS)[number];
export const SORTS = ["rank", "place", "force", "crimes", "frequency", "class"] as const;

export interface State {
  type: string;
  window: number;
  scope: string;
  /** One of the 36 months, or null for all of them. */
  month: string | null;
  cell: number | null;
  at: { latitude: number; longitude: number; zoom: number } | null;
  layer: Layer | null;
  model: string | null;
  /** A column of the list, with "-" before it for descending order. */
  sort: string;
  embed: boolean;
  theme: "light" | "dark" | null;
  base: boolean;
}

export const rankingKey = (state: { type: string; window: number }) =>
  `${state.type}-${state.window}`;

/** Whether the map has this ranking. */
export function hasRanking(map: MapFile, scope: string, type: string, window: number): boolean {
  return map.rankings[scope]?.[rankingKey({ type, window })] !== undefined;
}

/** The layers that the map has for a scope and ranking. */
export function layersOf(map: MapFile, state: State): Layer[] {
  const { tiers, segments, forecasts } = map.layers ?? {};
  const has: Record<Layer, boolean> = {
    tiers: !!tiers?.scopes[state.scope],
    bivariate: !!tiers?.scopes[state.scope] && !!tiers.bivariate,
    segments: !!segments && Object.keys(segmentForces(map, state.scope)).length > 0,
    forecasts: !!forecasts?.rankings[state.scope]?.includes(rankingKey(state)),
  };
  return LAYERS.filter((layer) => has[layer]);
}

/** The forces with street segments that belong to a scope: itself, or all where it is no force. */
export function segmentForces(map: MapFile, scope: string): Record<string, number> {
  const all = map.layers?.segments?.forces ?? {};
  if (map.scopes.find(({ slug }) => slug === scope)?.kind !== "force") return all;
  return scope in all ? { [scope]: all[scope]! } : {};
}

/** Reads a query. What is unknown is replaced, and the notes say so. */
export function parse(query: string, map: MapFile): { state: State; notes: string[] } {
  const asked = new URLSearchParams(query);
  const notes: string[] = [];
  const one = <T>(key: string, known: readonly T[], instead: T, read: (text: string) => T): T => {
    const text = asked.get(key);
    if (text === null) return instead;
    const value = read(text);
    if (known.includes(value)) return value;
    notes.push(`The address asks for ${key} “${text}”, which this map does not have.`);
    return instead;
  };
  const text = (value: string) => value;
  const months: (string | null)[] = map.months;
  const layers: (Layer | null)[] = [...LAYERS];
  const models: (string | null)[] = map.layers?.forecasts?.models ?? [];
  const sorts = SORTS.flatMap((sort) => [sort as string, `-${sort}`]);
  const state: State = {
    type: one("type", map.types.map((type) => type.slug), map.start.type, text),
    window: one("window", map.windows, map.start.window, Number),
    scope: one("scope", map.scopes.map((scope) => scope.slug), map.start.scope, text),
    month: one("month", months, null, text),
    cell: null,
    at: null,
    layer: one("layer", layers, null, (value) => value as Layer),
    model: one("model", models, null, text),
    sort: one("sort", sorts, "rank", text),
    embed: asked.get("embed") === "1",
    theme: one("theme", ["light", "dark", null] as const, null, (value) => value as "light"),
    base: asked.get("base") !== "off",
  };
  const cell = asked.get("cell");
  if (cell !== null) {
    if (cell && isCell(Number(cell))) state.cell = Number(cell);
    else notes.push(`“${cell}” is not the id of a cell.`);
  }
  const at = asked.get("at");
  if (at !== null) {
    const parts = at.split(",");
    const [latitude, longitude, zoom] = parts.map(Number) as [number, number, number];
    if (parts.every(Boolean) && Math.abs(latitude) <= 85 && Math.abs(longitude) <= 180 && zoom >= 0 && zoom <= 22) {
      state.at = { latitude, longitude, zoom };
    } else notes.push(`“${at}” is not a place: latitude,longitude,zoom.`);
  }
  return { state: possible(map, state, notes), notes };
}

/** The state, with a ranking that the map has, and a layer that fits it. */
export function possible(map: MapFile, state: State, notes: string[]): State {
  let { type, window } = state;
  if (!hasRanking(map, state.scope, type, window)) {
    const fits = (t: string, w: number) => hasRanking(map, state.scope, t, w);
    const other =
      map.windows.filter((w) => fits(type, w)).map((w) => [type, w] as const)[0] ??
      map.types.filter((t) => fits(t.slug, window)).map((t) => [t.slug, window] as const)[0] ??
      map.types.flatMap((t) =>
        map.windows.filter((w) => fits(t.slug, w)).map((w) => [t.slug, w] as const),
      )[0];
    if (other) {
      const named = (t: string, w: number) =>
        `${map.types.find(({ slug }) => slug === t)?.name ?? t}, ${w} ${w === 1 ? "month" : "months"}`;
      const scope = map.scopes.find(({ slug }) => slug === state.scope)?.name;
      notes.push(
        `${scope} has no ranking of ${named(type, window)}. Shown instead: ${named(...other)}.`,
      );
      [type, window] = other;
    }
  }
  const next = { ...state, type, window };
  if (next.layer && !layersOf(map, next).includes(next.layer)) {
    notes.push("The layer asked for is not there for this area, type and window.");
    next.layer = null;
  }
  if (next.layer && next.month) {
    if (next.month !== map.month) notes.push("Layers are those of the map's month: it is shown.");
    next.month = null;
  }
  return next;
}

/** The query of a state; what is as at the start is left out. */
export function query(state: State, map: MapFile): string {
  const said = new URLSearchParams({
    type: state.type,
    window: String(state.window),
    scope: state.scope,
  });
  if (state.month) said.set("month", state.month);
  if (state.cell !== null) said.set("cell", String(state.cell));
  if (state.at) {
    const { latitude, longitude, zoom } = state.at;
    said.set("at", `${latitude.toFixed(5)},${longitude.toFixed(5)},${zoom.toFixed(2)}`);
  }
  if (state.layer) said.set("layer", state.layer);
  if (state.model && state.model !== map.layers?.forecasts?.models[0]) {
    said.set("model", state.model);
  }
  if (state.sort !== "rank") said.set("sort", state.sort);
  if (state.theme) said.set("theme", state.theme);
  if (!state.base) said.set("base", "off");
  if (state.embed) said.set("embed", "1");
  return `?${said}`.replaceAll("%2C", ",");
}
