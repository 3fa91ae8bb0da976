// From the British National Grid (EPSG:27700) to WGS84 and to the unit square of Web Mercator.
import proj4 from "proj4/lib/core";
import projections from "proj4/lib/projections";
import tmerc from "proj4/lib/projections/etmerc";
import { centre, cornerOffset, type Point } from "./grid";

projections.add(tmerc);

const NATIONAL_GRID =
  "+proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000 +ellps=airy " +
  "+towgs84=446.448,-125.157,542.06,0.15,0.247,0.842,-20.489 +units=m +no_defs";
const converter = proj4(NATIONAL_GRID, "WGS84");

/** Longitude and latitude of an easting and northing. */
export function toWgs84(point: Point): Point {
  return converter.forward(point);
}

/** A longitude and latitude on the square of Web Mercator: 0 to 1, x east, y south. */
export function toMercator([longitude, latitude]: Point): Point {
  const sine = Math.sin((latitude * Math.PI) / 180);
  return [longitude / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

/** The six corners of a cell in WGS84, counter-clockwise, each projected. */
export function corners(id: number): Point[] {
  const [e, n] = centre(id);
  return [0, 1, 2, 3, 4, 5].map((k) => {
    const [de, dn] = cornerOffset(k);
    return toWgs84([e + de, n + dn]);
  });
}

/** A cell for drawing: centre, and the offsets of corners 0 and 1, all in Web Mercator. */
export type Shape = readonly [x: number, y: number, ux: number, uy: number, vx: number, vy: number];

const shapes = new Map<number, Shape>();
const OFFSETS = [cornerOffset(0), cornerOffset(1)] as const;

/**
 * The shape of a cell. The other corners are v - u, -u, -v and u - v: over 200 m the grid bends
 * by less than a centimetre.
 */
export function shape(id: number): Shape {
  let found = shapes.get(id);
  if (!found) {
    const [e, n] = centre(id);
    const [x, y] = toMercator(toWgs84([e, n]));
    const [u, v] = OFFSETS.map(([de, dn]) => toMercator(toWgs84([e + de, n + dn]))) as [Point, Point];
    found = [x, y, u[0] - x, u[1] - y, v[0] - x, v[1] - y];
    shapes.set(id, found);
  }
  return found;
}

/** A line of steps [x0, y0, dx, dy, ...] in metres as longitudes and latitudes. */
export function unfold(steps: number[]): Point[] {
  const points: Point[] = [];
  let e = 0;
  let n = 0;
  for (let i = 0; i < steps.length; i += 2) {
    e += steps[i]!;
    n += steps[i + 1]!;
    points.push(toWgs84([e, n]));
  }
  return points;
}
