// What is known of the chosen cell, with its history as a sparkline.
import type { History, MapFile, Ranking } from "./data";
import { make } from "./elements";
import { bit, CLASS_RULES, windowCrimes, type Row } from "./ranking";
import { unpublished } from "./unknown";
import { monthName, number, percent, placeOf, plural, shortMonth, windowName } from "./words";

export interface Shown {
  file: MapFile;
  ranking: Ranking;
  history: History | null;
  /** Position of the month looked at, and whether it was chosen. */
  month: number;
  isChosen: boolean;
}

/** The lines of a cell: a name and what is said. What the file does not hold is left out. */
export function lines(row: Row, shown: Shown): [string, string][] {
  const { ranking, file, month, isChosen } = shown;
  const to = monthName(file.months[month]!);
  const ofWindow = ranking.window_months === 1 ? to : `${windowName(ranking.window_months)} to ${to}`;
  const points = ranking.points?.[row.index];
  const largest = ranking.largest?.[row.index];
  const missing = unpublished(file, row.force, month, ranking.window_months);
  const said: [string, string | null | false][] = [
    ["Neighbourhood", row.lsoa],
    ["Force area", row.forceName],
    ["Rank by frequency", `${number(row.rank)} of ${number(ranking.hex_id.length)}`],
    [
      "Frequency",
      `${percent(row.frequency)}: a hotspot in ${row.hits} of ${plural(ranking.windows, "window")}`,
    ],
    ["How lasting", row.persistence && `${row.persistence}: ${CLASS_RULES[row.persistence]}`],
    [`Crimes, ${ofWindow}`, row.crimes === null ? null : number(row.crimes)],
    [
      `Rank, ${ofWindow}`,
      row.hot === null
        ? null
        : !bit(ranking.complete, month)
          ? "the window is not complete: no ranking"
          : !row.hot
            ? missing === ranking.window_months
              ? "unknown: its force did not publish"
              : "not a hotspot then"
            : row.rankInMonth === null
              ? "a hotspot"
              : `${number(row.rankInMonth)} of ${number(ranking.k)}`,
    ],
    [
      "Tie band",
      row.tied &&
        "in it: other cells with as many crimes were left out, so its place is arbitrary",
    ],
    [
      "Not published",
      missing > 0 &&
        (ranking.window_months === 1
          ? "the month: unknown, not nought"
          : `${missing} of the ${windowName(ranking.window_months)}: unknown, not nought`),
    ],
    [
      "Anonymous places",
      points != null &&
        `its crimes ${isChosen ? `of the window to ${monthName(file.month)} ` : ""}lie on ${number(points)}` +
          (largest == null ? "" : `; ${largest} % on the largest`),
    ],
    ["Cell", String(row.id)],
  ];
  return said.filter((line): line is [string, string] => !!line[1]);
}

/** The details of a cell, as elements. */
export function details(row: Row, shown: Shown): Node[] {
  const list = make("dl");
  for (const [name, what] of lines(row, shown)) {
    list.append(make("dt", {}, name), make("dd", {}, what));
  }
  return [make("h2", { id: "details-title" }, row.place ?? placeOf(row)), list,
    ...history(row, shown)];
}

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 288;
const HEIGHT = 56;

/** Bars of the crimes of each window, in colour where the cell was hot; and the same as a table. */
function history(row: Row, { file, ranking, history, month, isChosen }: Shown): Node[] {
  const w = ranking.window_months;
  const months = file.months;
  const missing = months.map((_, i) => unpublished(file, row.force, i, w));
  const crimes = months.map((_, i) => {
    const counted = history && windowCrimes(history, row.index, i, w);
    return counted === 0 && missing[i] === w ? null : counted;
  });
  const hot = months.map((_, i) => !!ranking.hot && bit(ranking.hot[row.index]!, i));
  if (!history && !ranking.hot) return [];
  const most = Math.max(1, ...crimes.map((n) => n ?? 0));
  const step = WIDTH / months.length;
  const hits = hot.filter(Boolean).length;
  const bars = months.map((name, i) => {
    const of = crimes[i];
    const high = of === null ? (hot[i] ? HEIGHT * 0.6 : 2) : Math.max((of! / most) * HEIGHT, 1);
    const kind = `${hot[i] ? "hot" : ""} ${isChosen && i === month ? "now" : ""}`;
    return history && of === null
      ? ""
      : `<rect class="${kind}" data-month="${name}" x="${i * step + 0.75}" y="${HEIGHT - high}" ` +
          `width="${step - 1.5}" height="${high}"/>`;
  });
  const what = history ? `Crimes of each ${w === 1 ? "month" : `window of ${windowName(w)}`}` : "Hot months";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT + 14}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-labelledby", "spark-title spark-text");
  svg.setAttribute("class", "spark");
  svg.innerHTML =
    `<title id="spark-title">${what}</title>` +
    `<desc id="spark-text">${monthName(months[0]!)} to ${monthName(months.at(-1)!)}` +
    `${history ? `, at most ${number(most)}` : ""}; a hotspot in ${plural(hits, "month")}.</desc>` +
    bars.join("") +
    `<text x="0" y="${HEIGHT + 12}">${shortMonth(months[0]!)}</text>` +
    `<text x="${WIDTH}" y="${HEIGHT + 12}" text-anchor="end">${shortMonth(months.at(-1)!)}</text>`;
  const isHot = (i: number) =>
    hot[i] ? "hotspot" : bit(ranking.complete, i) ? "" : "no ranking";
  const gap = (i: number) =>
    !missing[i] ? "" : missing[i] === w ? "not published" : `${missing[i]} of ${w} not published`;
  const body = make("tbody");
  months.forEach((name, i) => {
    if (history && i + 1 < w) return;
    body.append(
      make(
        "tr",
        {},
        make("th", { scope: "row" }, shortMonth(name)),
        history &&
          make("td", { class: "number" }, crimes[i] === null ? "–" : number(crimes[i]!)),
        make("td", {}, [isHot(i), gap(i)].filter(Boolean).join(", ")),
      ),
    );
  });
  const table = make(
    "table",
    {},
    make("caption", { class: "unseen" }, what),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        make("th", { scope: "col" }, w === 1 ? "Month" : `${windowName(w)} to`),
        history && make("th", { scope: "col" }, "Crimes"),
        make("th", { scope: "col" }, "Hotspot"),
      ),
    ),
    body,
  );
  return [
    make(
      "figure",
      {},
      make("figcaption", {}, what, history && ` · at most ${number(most)}`),
      svg,
      make("details", {}, make("summary", {}, "As a table"), table),
    ),
  ];
}
