// The colours of the map. They are custom properties in style.css, so that a host can restyle them.

export type Rgb = [number, number, number];

/** A colour of the style sheet in the theme in use. */
export function cssColour(name: string): Rgb {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const parts = getComputedStyle(probe).color.match(/[\d.]+/g)!.map(Number);
  probe.remove();
  return [parts[0]!, parts[1]!, parts[2]!];
}

export const hex = (colour: Rgb) =>
  `#${colour.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;

export const isDark = () => {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

let stops: Rgb[] = [];

/** Reads the ramp of the theme in use: five colours whose lightness falls (rises, in the dark). */
export function readRamp(): void {
  stops = [1, 2, 3, 4, 5].map((n) => cssColour(`--ramp-${n}`));
}

/** The colour of a frequency, 0 to 1: between the stops, in a straight line. */
export function rampColour(frequency: number): Rgb {
  const place = Math.min(Math.max(frequency, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  const part = place - below;
  return stops[below]!.map((c, i) => c + (stops[below + 1]![i]! - c) * part) as Rgb;
}

