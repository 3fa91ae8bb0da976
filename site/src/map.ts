// The map: base map or outlines, the hatch of what is not known, and the cells on top.
import type {
  GeoJSONSource,
  Map as MapLibre,
  MapOptions,
  MapSourceDataEvent,
  Style,
  StyleSpecification,
} from "maplibre-gl";
import { CellsLayer, type Mark } from "./cells";
import { cssColour, hex, isDark } from "./colours";
import { MapError, type MapFile, type Outlines } from "./data";
import { centre, type Point } from "./grid";
import { toWgs84, unfold } from "./projection";
import type { State } from "./state";

type Areas = GeoJSON.FeatureCollection<GeoJSON.MultiPolygon, { id: string; name: string }>;

/** Areas as GeoJSON. The ids are positions. */
export function geojson(outlines: Outlines): Areas {
  const closed = (steps: number[]) => {
    const ring = unfold(steps);
    return [...ring, ring[0]!];
  };
  return {
    type: "FeatureCollection",
    features: outlines.areas.map((polygons, i) => ({
      type: "Feature",
      id: i,
      properties: { id: outlines.id[i]!, name: outlines.name[i]! },
      geometry: { type: "MultiPolygon", coordinates: polygons.map((rings) => rings.map(closed)) },
    })),
  };
}

/** What the map tells the page. */
interface Listener {
  chosen(id: number | null): void;
  pointed(what: { cell: number } | { force: string } | null, x: number, y: number): void;
  moved(at: NonNullable<State["at"]>): void;
  baseFailed(): void;
  /** The browser had taken the map's drawings away, and gave them back. */
  restored(): void;
}

/** The map has come to rest when it has not moved for so long. */
const REST_MS = 150;
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** South-west and north-east of a scope's bounds. */
function corners([west, south, east, north]: [number, number, number, number]): [Point, Point] {
  const all = [
    [west, south],
    [east, south],
    [west, north],
    [east, north],
  ].map((point) => toWgs84(point as Point));
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  return [
    [Math.min(...xs), Math.min(...ys)],
    [Math.max(...xs), Math.max(...ys)],
  ];
}

/** A pattern that repeats: lines for what is missing, dots for what is partial. */
function pattern(kind: "hatch" | "dots"): ImageData {
  const size = 16;
  const image = new ImageData(size, size);
  const colour = cssColour("--unknown");
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const far =
        kind === "dots" ? Math.hypot(x - 7.5, y - 7.5) - 1.9 : Math.abs(((x + y) % size) - 7.5) - 1;
      image.data.set([...colour, 255 * Math.min(Math.max(1 - far, 0), 1)], 4 * (y * size + x));
    }
  }
  return image;
}

export class HotspotMap {
  readonly cells = new CellsLayer();
  private hasBase = false;
  private baseSeen = false;

  private constructor(
    readonly map: MapLibre,
    private readonly file: MapFile,
  ) {}

  static async create(
    container: HTMLElement,
    file: MapFile,
    state: State,
    listener: Listener,
  ): Promise<HotspotMap> {
    const { default: maplibre } = await import("maplibre-gl");
    const scope = file.scopes.find(({ slug }) => slug === state.scope)!;
    const at = state.at ?? (state.cell === null ? null : atCell(state.cell, 13));
    const style: StyleSpecification = {
      version: 8,
      sources: {},
      layers: [{ id: "sea", type: "background" }],
    };
    const options: MapOptions = {
      container,
      style,
      ...(at
        ? { center: [at.longitude, at.latitude], zoom: at.zoom }
        : { bounds: corners(scope.bounds), fitBoundsOptions: { padding: 24 } }),
      minZoom: 4,
      maxZoom: 18,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      attributionControl: false,
      validateStyle: false,
      cooperativeGestures: state.embed,
      canvasContextAttributes: { contextType: "webgl2" },
      locale: { "Map.Title": "Map of the hotspots. Arrow keys move it, plus and minus zoom." },
    };
    let map: MapLibre;
    try {
      map = new maplibre.Map(options);
    } catch {
      throw new MapError("This browser does not draw maps (no WebGL 2). The list has all cells.");
    }
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
    map.addControl(new maplibre.ScaleControl({ unit: "metric" }), "bottom-right");
    if (file.basemap) {
      map.addControl(new maplibre.AttributionControl({ compact: false }), "bottom-right");
    }
    const shown = new HotspotMap(map, file);
    shown.listen(listener);
    await map.once("style.load");
    shown.addLayers();
    return shown;
  }

  private listen(listener: Listener): void {
    const { map } = this;
    let rest: number | undefined;
    map.on("moveend", () => {
      window.clearTimeout(rest);
      rest = window.setTimeout(() => {
        const { lat, lng } = map.getCenter();
        listener.moved({ latitude: lat, longitude: lng, zoom: map.getZoom() });
      }, REST_MS);
    });
    map.on("click", (event) => listener.chosen(this.cells.at(event.lngLat.lng, event.lngLat.lat)));
    map.on("mousemove", ({ lngLat, point }) => {
      const cell = this.cells.at(lngLat.lng, lngLat.lat);
      map.getCanvas().style.cursor = cell === null ? "" : "pointer";
      const force = this.isAlive
        ? map.queryRenderedFeatures(point, { layers: ["land"] })[0]?.properties["id"]
        : null;
      listener.pointed(cell !== null ? { cell } : force ? { force } : null, point.x, point.y);
    });
    map.on("mouseout", () => listener.pointed(null, 0, 0));
    map.on("data", (event) => {
      const { sourceId, tile } = event as Partial<MapSourceDataEvent>;
      if (sourceId === "base" && tile) this.baseSeen ||= tile.hasData();
    });
    map.on("error", (event) => {
      const { sourceId } = event as { sourceId?: string };
      if (sourceId !== "base") console.error(event.error);
      else if (!this.baseSeen && this.hasBase) {
        this.setBase(false);
        listener.baseFailed();
      }
    });
    map.on("webglcontextrestored", () => {
      map.once("styledata", () => {
        if (!map.getLayer("cells")) map.addLayer(this.cells);
        listener.restored();
      });
    });
  }

  private addLayers(): void {
    const { map } = this;
    const none: Areas = { type: "FeatureCollection", features: [] };
    map.addSource("forces", { type: "geojson", data: none, tolerance: 0.8 });
    const isCrisp = { "fill-antialias": false };
    map.addLayer({ id: "land", type: "fill", source: "forces", paint: isCrisp });
    for (const kind of ["dots", "hatch"]) {
      map.addLayer({
        id: kind,
        type: "fill",
        source: "forces",
        filter: ["boolean", false],
        paint: { "fill-pattern": kind, ...isCrisp },
      });
    }
    map.addLayer({ id: "forces", type: "line", source: "forces" });
    map.addLayer({
      id: "scope",
      type: "line",
      source: "forces",
      filter: ["boolean", false],
      paint: { "line-width": 2.5 },
    });
    map.addLayer(this.cells);
    this.setTheme();
  }

  /** Whether there is something to draw on: browsers take it away where memory is short. */
  get isAlive(): boolean {
    return !!(this.map.style as Style | null)?.getLayer("land");
  }

  setForces(areas: Areas): void {
    this.map.getSource<GeoJSONSource>("forces")!.setData(areas);
  }

  /** Forces of which months are missing or partial, and the force that is looked at. */
  setKnown(missing: string[], partial: string[], scope: string): void {
    if (!this.isAlive) return;
    const among = (ids: string[]) => ["in", ["get", "id"], ["literal", ids]] as never;
    this.map.setFilter("hatch", among(missing));
    this.map.setFilter("dots", among(partial));
    this.map.setFilter("scope", among([scope]));
  }

  setTheme(): void {
    const { map } = this;
    if (!this.isAlive) return;
    const colour = (name: string) => hex(cssColour(name));
    map.setPaintProperty("sea", "background-color", colour("--sea"));
    map.setPaintProperty("land", "fill-color", colour("--land"));
    map.setPaintProperty("forces", "line-color", colour("--border"));
    map.setPaintProperty("scope", "line-color", colour("--scope"));
    for (const kind of ["hatch", "dots"] as const) {
      if (map.hasImage(kind)) map.updateImage(kind, pattern(kind));
      else map.addImage(kind, pattern(kind), { pixelRatio: 2 });
    }
    if (this.hasBase) this.dimBase();
  }

  /** Draws or removes the base map. */
  setBase(on: boolean): void {
    const { map, file } = this;
    if (!file.basemap || on === this.hasBase || !this.isAlive) return;
    this.hasBase = on;
    this.baseSeen = false;
    if (on) {
      const { tiles, attribution, max_zoom: maxzoom } = file.basemap;
      const address = /^[a-z]+:/.test(tiles) ? tiles : new URL("./", location.href).href + tiles;
      map.addSource("base", {
        type: "raster",
        tiles: [address],
        tileSize: 256,
        attribution,
        maxzoom,
      });
      const above = map.getStyle().layers.find(({ id }) => /^(lsoas-|dots)/.test(id))!;
      map.addLayer({ id: "base", type: "raster", source: "base" }, above.id);
      this.dimBase();
    } else {
      map.removeLayer("base");
      map.removeSource("base");
    }
  }

  private dimBase(): void {
    const dark = isDark();
    this.map.setPaintProperty("base", "raster-saturation", dark ? -0.8 : -0.6);
    this.map.setPaintProperty("base", "raster-brightness-max", dark ? 0.4 : 1);
    this.map.setPaintProperty("base", "raster-contrast", dark ? 0 : -0.15);
  }

  setCells(marks: Mark[]): void {
    this.cells.set(marks);
  }

  goTo(cell: number): void {
    const { latitude, longitude, zoom } = atCell(cell, Math.max(this.map.getZoom(), 12.5));
    const center: Point = [longitude, latitude];
    if (still()) this.map.jumpTo({ center, zoom });
    else this.map.flyTo({ center, zoom, duration: 900 });
  }

  goToScope(bounds: [number, number, number, number]): void {
    this.map.fitBounds(corners(bounds), { padding: 24, duration: still() ? 0 : 700 });
  }

  goToPlace({ latitude, longitude, zoom }: NonNullable<State["at"]>): void {
    this.map.jumpTo({ center: [longitude, latitude], zoom });
  }

  /** What the map shows as a picture. */
  picture(): string {
    this.map.redraw();
    return this.map.getCanvas().toDataURL("image/png");
  }
}

function atCell(cell: number, zoom: number): NonNullable<State["at"]> {
  const [longitude, latitude] = toWgs84(centre(cell));
  return { longitude, latitude, zoom };
}
