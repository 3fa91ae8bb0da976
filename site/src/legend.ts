// The key to the map's colours and marks.
import { rampColour, hex } from "./colours";
import { make, swatch } from "./elements";
import { percent } from "./words";

/** The ramp with its ends, for a ranking of so many windows. */
export function ramp(windows: number): Node[] {
  const bar = make("div", { class: "ramp", "aria-hidden": "true" });
  const stops = Array.from({ length: 9 }, (_, i) => hex(rampColour(i / 8)));
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  return [
    make("p", { class: "key" }, "Hotspot in this share of the windows"),
    bar,
    make(
      "p",
      { class: "ends" },
      make("span", {}, `${percent(1 / windows)} (1 of ${windows})`),
      make("span", {}, "100 %"),
    ),
  ];
}

/** A line of the key: a mark and what it means. */
export function entry(colour: string, kind: string, said: string): Node {
  return make("p", { class: "entry" }, swatch(colour, kind), said);
}

/** Nine classes in a square, the second type to the right, the first upwards. */
export function square(colours: Record<string, string>, [one, other]: [string, string]): Node[] {
  const cells = [2, 1, 0].flatMap((up) => [0, 1, 2].map((right) => swatch(colours[`${up}_${right}`]!)));
  return [
    make("div", { class: "square", "aria-hidden": "true" }, ...cells),
    make("p", { class: "entry" }, `↑ ${one}: low, medium, high`),
    make("p", { class: "entry" }, `→ ${other}: low, medium, high`),
  ];
}
