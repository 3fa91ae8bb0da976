// What a ranking says of each cell, for the 36 months or for one of them.
import type { History, Ranking } from "./data";

export const CLASSES = ["persistent", "emerging", "former", "intermittent"] as const;
export const CLASS_RULES: Record<(typeof CLASSES)[number], string> = {
  persistent: "a hotspot in at least 80 % of the windows",
  emerging: "a hotspot only in the last third of the windows, the last one included",
  former: "no longer a hotspot in the last third of the windows",
  intermittent: "comes and goes: none of the other three",
};

/** One cell of a ranking. What is null is not known or not in the file. */
export interface Row {
  index: number;
  id: number;
  /** By frequency, over all windows. */
  rank: number;
  hits: number;
  frequency: number;
  persistence: (typeof CLASSES)[number] | null;
  /** The force in whose area the cell lies: as in the tables, and as people call it. */
  force: string | null;
  forceName: string | null;
  lsoa: string | null;
  place: string | null;
  /** Of the window that ends in the month looked at. */
  hot: boolean | null;
  crimes: number | null;
  rankInMonth: number | null;
  tied: boolean | null;
}

/** Bit i of a mask; masks are wider than the 32 bits of bit operations. */
export function bit(mask: number, i: number): boolean {
  return Math.floor(mask / 2 ** i) % 2 === 1;
}

/** Crimes of the window of w months that ends in month i; null where it begins before the 36. */
export function windowCrimes(history: History, cell: number, i: number, w: number): number | null {
  if (i + 1 < w) return null;
  let sum = 0;
  for (let m = i - w + 1; m <= i; m++) sum += history.crimes[cell * 36 + m]!;
  return sum;
}

/**
 * The rows of a ranking at month i (of 36).
 *
 * The rank within a month and the tie band follow from the crimes, so only for types that are
 * ranked by their count: hot cells by crimes, then id; tied are those with the fewest crimes of a
 * month in which cells tie at the limit.
 *
 * `isUnknown` says of a force whether it published no month of the window.
 */
export function rowsAt(
  ranking: Ranking,
  history: History | null,
  i: number,
  counted: boolean,
  isUnknown: (force: string | null) => boolean,
  nameOfForce: (slug: string) => string,
): Row[] {
  const { hot, window_months: w } = ranking;
  const last = i === 35;
  const name = (names?: string[], of?: number[], k = 0) => names?.[of?.[k] ?? -1] ?? null;
  const forces = ranking.forces?.map(nameOfForce);
  const rows = ranking.hex_id.map((id, k): Row => {
    const persistence = ranking.persistence?.[k];
    return {
      index: k,
      id,
      rank: k + 1,
      hits: ranking.hits[k]!,
      frequency: ranking.hits[k]! / ranking.windows,
      persistence: persistence == null ? null : CLASSES[persistence]!,
      force: name(ranking.forces, ranking.force, k),
      forceName: name(forces, ranking.force, k),
      lsoa: name(ranking.lsoas, ranking.lsoa, k),
      place: name(ranking.places, ranking.place, k),
      hot: hot ? bit(hot[k]!, i) : null,
      crimes: history
        ? windowCrimes(history, k, i, w)
        : last
          ? (ranking.crimes?.[k] ?? null)
          : null,
      rankInMonth: null,
      tied: null,
    };
  });
  const inMonth = rows.filter((row) => row.hot);
  if (counted && inMonth.every((row) => row.crimes !== null)) {
    inMonth.sort((a, b) => b.crimes! - a.crimes! || a.id - b.id);
    const fewest = inMonth.at(-1)?.crimes;
    const anyTied = bit(ranking.tied, i);
    inMonth.forEach((row, nth) => {
      row.rankInMonth = nth + 1;
      row.tied = anyTied && row.crimes === fewest;
    });
  }
  // no crime where nobody published is no count of nought
  for (const row of rows) if (row.crimes === 0 && isUnknown(row.force)) row.crimes = null;
  return rows;
}
