// What is not known: forces that did not publish in months of what is shown.
import type { MapFile } from "./data";
import { make } from "./elements";
import { monthRuns } from "./words";

const SAID: Record<string, string> = {
  n: "Not published",
  q: "Published in part, far fewer crimes than usual",
  l: "Not loaded into this map",
  "-": "Not known whether published",
};

export interface Gaps {
  /** Forces with a month that is missing, and those with no more than a partial one. */
  missing: string[];
  partial: string[];
  /** Of each force: letter to positions of months. */
  of: Map<string, Map<string, number[]>>;
}

/** The gaps among months from..to (positions, both included). */
export function gaps(file: MapFile, from: number, to: number): Gaps {
  const found: Gaps = { missing: [], partial: [], of: new Map() };
  for (const [force, { coverage }] of Object.entries(file.forces)) {
    const letters = new Map<string, number[]>();
    for (let i = Math.max(from, 0); i <= to; i++) {
      const letter = coverage[i] ?? "-";
      if (letter === "p") continue;
      letters.set(letter, [...(letters.get(letter) ?? []), i]);
    }
    if (!letters.size) continue;
    found.of.set(force, letters);
    const isPartial = letters.size === 1 && letters.has("q");
    (isPartial ? found.partial : found.missing).push(force);
  }
  return found;
}

/** How many of the w months up to position i a force did not publish; none where it is not named. */
export function unpublished(file: MapFile, force: string | null, i: number, w: number): number {
  const coverage = force === null ? undefined : file.forces[force]?.coverage;
  if (coverage === undefined) return 0;
  return [...coverage.slice(Math.max(i - w + 1, 0), i + 1)].filter((is) => !"pq".includes(is)).length;
}

/** One force's gaps in a sentence. */
export function gapsOf(file: MapFile, force: string, found: Gaps): string {
  return [...(found.of.get(force) ?? [])]
    .map(([letter, at]) => `${SAID[letter] ?? letter}: ${monthRuns(at, file.months)}`)
    .join(". ");
}

/** All gaps as a list: forces with the same gap stand together. */
export function gapList(file: MapFile, found: Gaps): Node[] {
  if (!found.of.size) {
    return [make("p", {}, "Every force of this map published every month of what is shown.")];
  }
  const alike = new Map<string, string[]>();
  for (const force of found.of.keys()) {
    const said = gapsOf(file, force, found);
    alike.set(said, [...(alike.get(said) ?? []), file.forces[force]!.name]);
  }
  return [
    make(
      "ul",
      {},
      ...[...alike].map(([said, names]) =>
        make("li", {}, make("strong", {}, names.join(", ")), ` – ${said}`),
      ),
    ),
  ];
}
