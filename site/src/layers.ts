// The further layers: neighbourhoods (LSOAs) by tier or by two crime types, street segments,
// and forecasts beside what then happened.
import type { GeoJSONSource } from "maplibre-gl";
import type { Mark, Rgba } from "./cells";
import { cssColour, hex, rampColour } from "./colours";
import { MapError, MissingFile, type Files, type MapFile } from "./data";
import { make } from "./elements";
import { entry, square } from "./legend";
import { geojson, type HotspotMap } from "./map";
import { unfold } from "./projection";
import { rankingKey, segmentForces, type State } from "./state";
import { monthName, number, plural, windowName } from "./words";

/** From these zooms on neighbourhoods are drawn: shaded, or as outlines in place of a base map. */
const SHADED_ZOOM = 8.5;
const OUTLINE_ZOOM = 10.5;

const TIERS = ["low", "medium", "high", "very high"];
const TIER_COLOURS = ["#fbf0c9", "#f6b15f", "#d9523a", "#650b34"];
// more orange where the first type is higher, more blue where the second is, dark where both are
const NINE_COLOURS: Record<string, string> = {
  "0_0": "#edebdf", "0_1": "#acb4d6", "0_2": "#5979c3",
  "1_0": "#eabe81", "1_1": "#95817b", "1_2": "#394a71",
  "2_0": "#d18a09", "2_1": "#745227", "2_2": "#1a2029",
};
const NO_CLASS = "#c8c8c8";
const LEVELS = ["low", "medium", "high"];

/** Nobody is told: what was on its way is asked for again when the map is back. */
const TAKEN_AWAY = "The browser took the map away.";

interface Shade {
  colour: string;
  said: string;
}

export class Layers {
  private readonly lsoas = new Map<string, Promise<void>>();
  private readonly segments = new Set<string>();
  private readonly boxes: [force: string, west: number, south: number, east: number, north: number][];
  private shades: Map<string, Shade> | null = null;
  private shaded = "";
  private turn = 0;

  constructor(
    private readonly view: HotspotMap,
    private readonly file: MapFile,
    private readonly files: Files,
    forces: ReturnType<typeof geojson>,
  ) {
    this.boxes = forces.features.map(({ properties, geometry }) => {
      const points = geometry.coordinates.flat(2);
      const xs = points.map(([x]) => x!);
      const ys = points.map(([, y]) => y!);
      const least = (values: number[]) => values.reduce((a, b) => Math.min(a, b));
      const most = (values: number[]) => values.reduce((a, b) => Math.max(a, b));
      return [properties.id, least(xs), least(ys), most(xs), most(ys)];
    });
  }

  /** Loads and draws what the state asks for where the map is; called whenever either changes. */
  async update(state: State, isBaseOn: boolean): Promise<void> {
    const turn = ++this.turn;
    const failed = await this.draw(state, isBaseOn, turn).catch((error: unknown) => error);
    // what is no longer asked for may fail in silence
    if (failed && turn === this.turn && this.view.isAlive) throw failed;
  }

  /** Draws what can be had, and returns why something could not. */
  private async draw(state: State, isBaseOn: boolean, turn: number): Promise<unknown> {
    const { map } = this.view;
    const isShaded = state.layer === "tiers" || state.layer === "bivariate";
    const drawsSegments = state.layer === "segments";
    if (!drawsSegments) this.hideSegments();
    await this.shade(isShaded ? state : null, turn);
    if (turn !== this.turn) return null;
    const zoom = map.getZoom();
    const wanted = isShaded ? zoom >= this.shadedFrom(state) : !isBaseOn && zoom >= OUTLINE_ZOOM;
    for (const force of this.lsoas.keys()) this.show(`lsoas-${force}`, wanted, isShaded);
    let failed: unknown = null;
    if (wanted) {
      const inView = this.inView();
      const of = isShaded ? (await this.files.tiers(state.scope)).forces : null;
      const needed = inView.filter((force) => (of ? of.includes(force) : true));
      const added = await Promise.allSettled(needed.map((force) => this.addLsoas(force)));
      if (turn !== this.turn) return null;
      for (const force of this.lsoas.keys()) this.show(`lsoas-${force}`, wanted, isShaded);
      failed = added.find((one) => one.status === "rejected")?.reason;
    }
    if (!drawsSegments) return failed;
    this.hideSegments();
    if (zoom < this.shadedFrom(state)) return failed;
    const there = segmentForces(this.file, state.scope);
    for (const force of this.inView().filter((name) => name in there)) {
      await this.addSegments(force, rankingKey(state));
      if (turn !== this.turn) return null;
      this.show(`segments-${force}`, true, false);
    }
    return failed;
  }

  private hideSegments(): void {
    for (const force of this.segments) this.show(`segments-${force}`, false, false);
  }

  /** Colours are set anew: the map has lost them. */
  forget(): void {
    this.shaded = "?";
  }

  /** What lies under the pointer, if a layer shows something there. */
  under(x: number, y: number): string | null {
    const { map } = this.view;
    if (!this.view.isAlive) return null;
    const layers = [
      ...[...this.segments].map((force) => `segments-${force}-line`),
      ...[...this.lsoas.keys()].map((force) => `lsoas-${force}-fill`),
    ].filter((id) => map.getLayer(id));
    for (const { layer, properties } of map.queryRenderedFeatures([x, y], { layers })) {
      if (layer.id.startsWith("segments")) return properties["said"] as string;
      const shade = this.shades?.get(properties["id"] as string);
      return `${properties["name"]}${shade ? `: ${shade.said}` : ""}`;
    }
    return null;
  }

  /** The key of a layer. */
  legend(state: State): Node[] {
    const { tiers } = this.file.layers ?? {};
    const isNear = this.view.map.getZoom() >= this.shadedFrom(state);
    const nearer = isNear ? [] : [document.createTextNode("Zoom in to see them.")];
    const to = monthName(this.file.month);
    const period = (months: number) => make("p", {}, `${windowName(months)} to ${to}`);
    if (state.layer === "tiers") {
      return [
        period(12),
        ...TIERS.map((name, i) => entry(TIER_COLOURS[i]!, "", `${name} tier of crimes per km²`)),
        entry(NO_CLASS, "", "not known"),
        ...nearer,
      ];
    }
    if (state.layer === "bivariate") {
      return [period(12), ...square(NINE_COLOURS, tiers!.bivariate), ...nearer];
    }
    if (state.layer === "segments") {
      return [
        period(state.window),
        entry(hex(rampColour(0.9)), "line", "street segments with the most crimes"),
        ...nearer,
      ];
    }
    return [];
  }

  /** One force is drawn whole; of all, those in view when the map is near enough. */
  private shadedFrom(state: State): number {
    const scope = this.file.scopes.find(({ slug }) => slug === state.scope);
    return scope?.kind === "force" ? 0 : SHADED_ZOOM;
  }

  private async shade(state: State | null, turn: number): Promise<void> {
    const wanted = state ? `${state.layer} ${state.scope}` : "";
    if (wanted === this.shaded) return;
    const shades = new Map<string, Shade>();
    if (state) {
      const tiers = await this.files.tiers(state.scope);
      if (turn !== this.turn) return;
      const pair = this.file.layers!.tiers!.bivariate;
      tiers.lsoa21cd.forEach((id, i) => {
        const density = tiers.density[i];
        const tier = tiers.tier[i];
        const nine = tiers.bivariate[i];
        const [one, other] = (nine ?? "").split("_").map((level) => LEVELS[Number(level)]);
        shades.set(
          id,
          state.layer === "tiers"
            ? {
                colour: tier == null ? NO_CLASS : TIER_COLOURS[tier]!,
                said:
                  tier == null
                    ? "not known"
                    : `${TIERS[tier]} tier` +
                      (density == null ? "" : `, ${number(density)} crimes per km² and year`),
              }
            : {
                colour: nine == null ? NO_CLASS : NINE_COLOURS[nine]!,
                said: nine == null ? "not known" : `${pair[0]} ${one}, ${pair[1]} ${other}`,
              },
        );
      });
    }
    this.shades = state ? shades : null;
    this.shaded = wanted;
    for (const force of this.lsoas.keys()) await this.colour(force);
  }

  private inView(): string[] {
    const bounds = this.view.map.getBounds();
    return this.boxes
      .filter(
        ([, west, south, east, north]) =>
          west < bounds.getEast() &&
          east > bounds.getWest() &&
          south < bounds.getNorth() &&
          north > bounds.getSouth(),
      )
      .map(([force]) => force);
  }

  private show(name: string, isVisible: boolean, isFilled: boolean): void {
    const { map } = this.view;
    for (const part of ["fill", "line"]) {
      const id = `${name}-${part}`;
      if (!map.getLayer(id)) continue;
      const isDrawn = isVisible && (part === "line" || isFilled);
      map.setLayoutProperty(id, "visibility", isDrawn ? "visible" : "none");
    }
  }

  /** Resolves when a force's neighbourhoods are on the map, whoever asked for them first. */
  private addLsoas(force: string): Promise<void> {
    const added = this.lsoas.get(force) ?? this.loadLsoas(force);
    this.lsoas.set(force, added);
    added.catch(() => this.lsoas.delete(force));
    return added;
  }

  private async loadLsoas(force: string): Promise<void> {
    const { map } = this.view;
    const source = `lsoas-${force}`;
    const outlines = await this.files.lsoas(force).catch((error: unknown) => {
      if (error instanceof MissingFile) return null;
      throw error;
    });
    if (!outlines) return;
    if (!this.view.isAlive) throw new MapError(TAKEN_AWAY);
    // nearer than zoom 12 its tiles are enlarged, rather than cut anew while the map moves
    map.addSource(source, { type: "geojson", data: geojson(outlines), tolerance: 0.2, maxzoom: 12 });
    map.addLayer(
      {
        id: `${source}-fill`,
        type: "fill",
        source,
        layout: { visibility: "none" },
        paint: {
          "fill-opacity": 0.8,
          "fill-color": ["to-color", ["coalesce", ["feature-state", "colour"], "rgba(0,0,0,0)"]],
        },
      },
      "dots",
    );
    map.addLayer(
      {
        id: `${source}-line`,
        type: "line",
        source,
        layout: { visibility: "none" },
        paint: { "line-color": hex(cssColour("--border")), "line-width": 0.5 },
      },
      "forces",
    );
    await this.colour(force);
  }

  private async colour(force: string): Promise<void> {
    const { map } = this.view;
    const source = `lsoas-${force}`;
    if (!map.getSource(source)) return;
    if (!this.shades) return void map.removeFeatureState({ source });
    const { id } = await this.files.lsoas(force);
    id.forEach((code, i) => {
      const colour = this.shades!.get(code)?.colour ?? null;
      map.setFeatureState({ source, id: i }, { colour });
    });
  }

  private async addSegments(force: string, key: string): Promise<void> {
    const { map } = this.view;
    const { lines, name, length_m, crimes } = await this.files.segments(force);
    if (!this.view.isAlive) throw new MapError(TAKEN_AWAY);
    const { segment, crimes: counts } = crimes[key] ?? { segment: [], crimes: [] };
    const data: GeoJSON.FeatureCollection = {
      type: "FeatureCollection",
      // the hottest last, on top of the others
      features: segment
        .map((at, nth): GeoJSON.Feature => {
          const said = `${name[at] ?? "A street without a name"}: ${plural(counts[nth]!, "crime")} on ${number(length_m[at]!)} m`;
          const colour = hex(rampColour(1 - nth / segment.length));
          return {
            type: "Feature",
            properties: { said, colour },
            geometry: { type: "LineString", coordinates: unfold(lines[at]!) },
          };
        })
        .reverse(),
    };
    const source = `segments-${force}`;
    const old = map.getSource<GeoJSONSource>(source);
    if (old) old.setData(data);
    else {
      map.addSource(source, { type: "geojson", data });
      map.addLayer(
        {
          id: `${source}-line`,
          type: "line",
          source,
          layout: { "line-cap": "round", visibility: "none" },
          paint: {
            "line-color": ["get", "colour"],
            "line-width": ["interpolate", ["linear"], ["zoom"], 9, 2, 13, 4, 16, 8],
          },
        },
        "cells",
      );
      this.segments.add(force);
    }
  }

  /** LSOA outlines take the colour of the theme. */
  setTheme(): void {
    if (!this.view.isAlive) return;
    for (const force of this.lsoas.keys()) {
      const id = `lsoas-${force}-line`;
      if (this.view.map.getLayer(id)) {
        this.view.map.setPaintProperty(id, "line-color", hex(cssColour("--border")));
      }
    }
  }
}

/** Cells that a model foretold, beside those that then were hot: three marks, and their key. */
export function forecast(
  foretold: number[],
  hot: number[],
  monthOf: { cutOff: string; to: string; model: string },
): { marks: Mark[]; legend: Node[] } {
  const isForetold = new Set(foretold);
  const isHot = new Set(hot);
  const both = hot.filter((id) => isForetold.has(id));
  const onlyForetold = foretold.filter((id) => !isHot.has(id));
  const onlyHot = hot.filter((id) => !isForetold.has(id));
  const right = cssColour("--foretold");
  const missed = cssColour("--missed");
  const ink = cssColour("--chosen");
  const marks = (ids: number[], fill: Rgba, border: Rgba, width: number): Mark[] =>
    ids.map((id) => ({ id, fill, border, width }));
  return {
    marks: [
      ...marks(onlyHot, [...missed, 1], [...ink, 1], 1),
      ...marks(onlyForetold, [...right, 0], [...right, 1], 2),
      ...marks(both, [...right, 1], [...right, 1], 0),
    ],
    legend: [
      Object.assign(document.createElement("p"), {
        className: "key",
        textContent: `Foretold at ${monthName(monthOf.cutOff)} by ${monthOf.model}, hot at ${monthName(monthOf.to)}`,
      }),
      entry(hex(right), "", `foretold and hot: ${number(both.length)}`),
      entry(hex(right), "ring", `foretold only: ${number(onlyForetold.length)}`),
      entry(hex(missed), "edged", `hot and not foretold: ${number(onlyHot.length)}`),
    ],
  };
}
