// Tabs of crime types, the windows, the scope, the time, the layers.
import type { MapFile } from "./data";
import { byId, make } from "./elements";
import { bit } from "./ranking";
import type { Ranking } from "./data";
import { hasRanking, layersOf, type Layer, type State } from "./state";
import { modelName, monthName, shortMonth, windowName } from "./words";

type Change = (change: Partial<State>) => void;

const STEP_MS = 800;
const LAYER_NAMES: Record<Layer, string> = {
  tiers: "Neighbourhood tiers",
  bivariate: "Two crime types together",
  segments: "Street segments",
  forecasts: "Forecasts beside what happened",
};

export class Controls {
  private playing: number | undefined;
  private state!: State;
  private first = 0;

  constructor(
    private readonly file: MapFile,
    private readonly change: Change,
    /** Called when a tab or a window is pointed at: what will be needed if it is chosen. */
    private readonly expect: (what: Partial<State>) => void,
    private readonly played: (playing: boolean) => void,
  ) {
    this.makeTabs();
    this.makeWindows();
    this.makeScopes();
    this.makeTime();
    this.makeLayers();
  }

  update(state: State, ranking: Ranking | null): void {
    this.state = state;
    this.updateTabs();
    this.updateWindows();
    byId<HTMLSelectElement>("scope").value = state.scope;
    this.updateTime(ranking);
    this.updateLayers();
  }

  private has(type: string, window: number): boolean {
    return hasRanking(this.file, this.state.scope, type, window);
  }

  // --- types

  private makeTabs(): void {
    const tabs = byId("types");
    for (const { slug, name } of this.file.types) {
      const tab = make("button", { role: "tab", type: "button", id: `tab-${slug}` }, name);
      tab.setAttribute("aria-controls", "panel");
      tab.addEventListener("click", () => {
        if (tab.getAttribute("aria-disabled") !== "true") this.change({ type: slug });
      });
      for (const event of ["pointerenter", "focus"]) {
        tab.addEventListener(event, () => this.expect({ type: slug }));
      }
      tabs.append(tab);
    }
    tabs.addEventListener("keydown", (event) => {
      const all = [...tabs.children] as HTMLElement[];
      const at = all.indexOf(document.activeElement as HTMLElement);
      const to = {
        ArrowRight: (at + 1) % all.length,
        ArrowLeft: (at + all.length - 1) % all.length,
        Home: 0,
        End: all.length - 1,
      }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      all[to]!.focus();
      all[to]!.click();
    });
  }

  private updateTabs(): void {
    for (const { slug, name, counted } of this.file.types) {
      const tab = byId(`tab-${slug}`);
      const chosen = slug === this.state.type;
      const there = this.has(slug, this.state.window);
      if (chosen && tab.getAttribute("aria-selected") !== "true") {
        requestAnimationFrame(() => {
          const row = tab.parentElement!;
          row.scrollTo({ left: tab.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2 });
        });
      }
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      tab.setAttribute("aria-disabled", String(!there));
      tab.title = !there
        ? `There is no ranking of ${name} for this area and ${windowName(this.state.window)}`
        : counted
          ? ""
          : "Ranked by a harm score, not by the count of crimes";
    }
    byId("panel").setAttribute("aria-labelledby", `tab-${this.state.type}`);
  }

  // --- windows

  private makeWindows(): void {
    const group = byId("windows");
    for (const w of this.file.windows) {
      const radio = make("input", { type: "radio", name: "window", value: w });
      radio.addEventListener("change", () => this.change({ window: w }));
      const label = make("label", {}, radio, make("span", {}, windowName(w)));
      label.addEventListener("pointerenter", () => this.expect({ window: w }));
      group.append(label);
    }
  }

  private updateWindows(): void {
    for (const radio of byId("windows").querySelectorAll("input")) {
      const w = Number(radio.value);
      radio.checked = w === this.state.window;
      radio.disabled = !this.has(this.state.type, w);
      radio.parentElement!.title = radio.disabled ? "There is no such ranking here" : "";
    }
  }

  // --- scopes

  private makeScopes(): void {
    const select = byId<HTMLSelectElement>("scope");
    const groups: [string, (kind: string) => boolean][] = [
      ["", (kind) => kind === "nation"],
      ["Police forces", (kind) => kind === "force"],
      ["Other areas", (kind) => kind !== "nation" && kind !== "force"],
    ];
    for (const [label, belongs] of groups) {
      const options = this.file.scopes
        .filter(({ kind }) => belongs(kind))
        .map(({ slug, name }) => {
          const isEmpty = Object.keys(this.file.rankings[slug] ?? {}).length === 0;
          return make("option", { value: slug, disabled: isEmpty }, name);
        });
      if (!options.length) continue;
      if (label) select.append(make("optgroup", { label }, ...options));
      else select.append(...options);
    }
    select.addEventListener("change", () => this.change({ scope: select.value }));
  }

  // --- time

  private makeTime(): void {
    const slider = byId<HTMLInputElement>("month");
    slider.max = String(this.file.months.length - 1);
    slider.addEventListener("input", () => {
      this.stop();
      this.change({ month: this.file.months[Number(slider.value)]! });
    });
    // at the last month already, the slider does not move when that month is chosen
    const chooseLast = () => {
      if (!this.state.month && !slider.disabled) this.change({ month: this.file.months.at(-1)! });
    };
    slider.addEventListener("keydown", ({ key }) => {
      if (["ArrowRight", "ArrowUp", "PageUp", "End"].includes(key)) chooseLast();
    });
    slider.addEventListener("click", chooseLast);
    byId("whole-time").addEventListener("click", () => {
      this.stop();
      this.change({ month: null });
    });
    byId("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
  }

  private play(): void {
    const { months } = this.file;
    const at = () => (this.state.month ? months.indexOf(this.state.month) : months.length - 1);
    const step = (i: number) => this.change({ month: months[i]! });
    this.playing = window.setInterval(() => {
      if (at() >= months.length - 1) this.stop();
      else step(at() + 1);
    }, STEP_MS);
    this.showPlaying();
    if (at() >= months.length - 1) step(this.first);
  }

  stop(): void {
    if (!this.playing) return;
    window.clearInterval(this.playing);
    this.playing = undefined;
    this.showPlaying();
  }

  private showPlaying(): void {
    const button = byId("play");
    button.textContent = this.playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", this.playing ? "Pause" : "Play through the months");
    this.played(!!this.playing);
  }

  private updateTime(ranking: Ranking | null): void {
    const { months } = this.file;
    const { month, window: w, layer } = this.state;
    const slider = byId<HTMLInputElement>("month");
    const position = month ? months.indexOf(month) : months.length - 1;
    slider.value = String(position);
    slider.setAttribute("aria-valuetext", month ? monthName(month) : "all 36 months");
    byId("time").classList.toggle("whole", !month);
    byId("whole-time").setAttribute("aria-pressed", String(!month));
    const why = !ranking
      ? ""
      : !ranking.hot
        ? "This ranking's file does not say in which months a cell was hot."
        : layer
          ? "Layers are shown for the map's month only."
          : "";
    slider.disabled = byId<HTMLButtonElement>("play").disabled = why !== "";
    if (why) this.stop();
    this.first = Math.max(
      months.findIndex((_, i) => !ranking || bit(ranking.complete, i)),
      0,
    );
    const complete = !month || !ranking || bit(ranking.complete, position);
    const incomplete =
      position + 1 < w
        ? `The ${windowName(w)} to it begin before the 36 months.`
        : w === 1
          ? "It was not published."
          : `Not all of the ${windowName(w)} to it were published.`;
    byId("month-name").textContent = month
      ? w === 1
        ? monthName(month)
        : `${windowName(w)} to ${monthName(month)}`
      : `${shortMonth(months[0]!)} to ${shortMonth(months.at(-1)!)}`;
    byId("month-note").textContent = why || (complete ? "" : `${incomplete} No ranking.`);
  }

  // --- layers

  private makeLayers(): void {
    const select = byId<HTMLSelectElement>("layer");
    select.addEventListener("change", () =>
      this.change({ layer: (select.value || null) as Layer | null }),
    );
    const model = byId<HTMLSelectElement>("model");
    for (const slug of this.file.layers?.forecasts?.models ?? []) {
      model.append(make("option", { value: slug }, modelName(slug)));
    }
    model.addEventListener("change", () => this.change({ model: model.value }));
  }

  private updateLayers(): void {
    const select = byId<HTMLSelectElement>("layer");
    const layers = layersOf(this.file, this.state);
    select.replaceChildren(
      make("option", { value: "" }, "Hotspots only"),
      ...layers.map((layer) => make("option", { value: layer }, LAYER_NAMES[layer])),
    );
    select.value = this.state.layer ?? "";
    byId("layers").hidden = layers.length === 0;
    byId("models").hidden = this.state.layer !== "forecasts";
    if (this.state.model) byId<HTMLSelectElement>("model").value = this.state.model;
  }
}
