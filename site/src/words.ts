// How months, numbers and places are said.
import type { Row } from "./ranking";

const MONTH = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });
const SHORT = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric", timeZone: "UTC" });
const NUMBER = new Intl.NumberFormat("en-GB");

export const number = (n: number) => NUMBER.format(n);
export const percent = (share: number) => `${Math.round(share * 1000) / 10} %`;
export const plural = (n: number, one: string) =>
  `${number(n)} ${n === 1 ? one : `${one}s`}`;

/** "2025-12" as "December 2025". */
export const monthName = (month: string) => MONTH.format(new Date(`${month}-01`));
export const shortMonth = (month: string) => SHORT.format(new Date(`${month}-01`));
export const windowName = (w: number) => (w === 1 ? "1 month" : `${w} months`);

/** The months with these positions as runs: "Jan 2023 to Mar 2023, Jul 2024". */
export function monthRuns(positions: number[], months: string[]): string {
  const runs: [number, number][] = [];
  for (const i of positions) {
    const run = runs.at(-1);
    if (run && run[1] === i - 1) run[1] = i;
    else runs.push([i, i]);
  }
  return runs
    .map(([a, b]) =>
      a === b ? shortMonth(months[a]!) : `${shortMonth(months[a]!)} to ${shortMonth(months[b]!)}`,
    )
    .join(", ");
}

/** A cell's place in one line. */
export function placeOf(row: Row): string {
  const named = [row.place, row.lsoa].filter(Boolean).join(", ");
  return named || `Cell ${row.id}`;
}

/** The model's slug as words. */
export const modelName = (slug: string) => slug.replaceAll("_", " ").replaceAll("-", " ");
