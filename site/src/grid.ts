// The grid of hexagons: where a cell lies follows from its id. Flat-top, side 200 m, EPSG:27700.

export type Point = [number, number];

export const SIDE_M = 200;
const ROOT3 = Math.sqrt(3);
const ROWS = 1886;
const FIRST_ODD = 1804902;

/** Whether a number is the id of a cell of the grid. */
export function isCell(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < 2 * FIRST_ODD;
}

/** The centre of a cell, easting and northing in metres. */
export function centre(id: number): Point {
  const odd = id >= FIRST_ODD;
  const nth = odd ? id - FIRST_ODD : id;
  const column = Math.floor(nth / ROWS);
  const row = nth % ROWS;
  return [
    (odd ? 82700 : 82400) + 3 * SIDE_M * column,
    5000 + (odd ? (SIDE_M * ROOT3) / 2 : 0) + SIDE_M * ROOT3 * row,
  ];
}

/** The offset of corner n (0 to 5, counter-clockwise from the east) from the centre, in metres. */
export function cornerOffset(n: number): Point {
  return [SIDE_M * Math.cos((n * Math.PI) / 3), SIDE_M * Math.sin((n * Math.PI) / 3)];
}
