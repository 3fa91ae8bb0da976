// The page: reads what map.json has, keeps the state and the address together, and has each part
// show it.
import "maplibre-gl/dist/maplibre-gl.css";
import "./style.css";
import type { Mark } from "./cells";
import { cssColour, hex, isDark, rampColour, readRamp } from "./colours";
import { Controls } from "./controls";
import { Files, fetchMap, MapError, MissingFile } from "./data";
import type { Forecasts, History, MapFile, Ranking } from "./data";
import { details, lines, type Shown } from "./details";
import { download, FORMATS, type What } from "./downloads";
import { byId, make } from "./elements";
import { forecast, Layers } from "./layers";
import { entry, ramp } from "./legend";
import { List } from "./list";
import { geojson, HotspotMap } from "./map";
import { corners } from "./projection";
import { rowsAt, type Row } from "./ranking";
import { hasRanking, parse, possible, query, rankingKey, type State } from "./state";
import { gapList, gaps, gapsOf, unpublished, type Gaps } from "./unknown";
import { modelName, monthName, number, placeOf, plural, windowName } from "./words";

const NEVER_HOT = "It was no hotspot in any window of this ranking.";

class Page {
  /** What is shown. */
  state: State;
  /** What was asked for last: what is shown, once its files have come. */
  private wanted: State;
  view: HotspotMap | null = null;
  rows: Row[] = [];
  private layers: Layers | null = null;
  private ranking: Ranking | null = null;
  private history: History | null = null;
  private key = "";
  private foretold: number[] | null = null;
  private gaps: Gaps;
  private baseFailed = false;
  private forcesFailed = false;
  /** Whether a step back or forward has yet to be shown: until then its address is left alone. */
  private isStepping = false;
  private turn = 0;
  private playing = false;
  private readonly files: Files;
  private readonly controls: Controls;
  private readonly list: List;

  constructor(private readonly file: MapFile) {
    const { state, notes } = parse(location.search, file);
    this.state = this.wanted = state;
    this.files = new Files(file.data);
    this.gaps = gaps(file, 0, 35);
    document.documentElement.classList.toggle("embed", state.embed);
    this.applyTheme();
    this.controls = new Controls(
      file,
      (change) => this.change(change),
      ({ type = this.wanted.type, window = this.wanted.window }) => {
        const { scope } = this.wanted;
        if (hasRanking(file, scope, type, window)) {
          this.files.ranking(scope, rankingKey({ type, window })).catch(() => undefined);
        }
      },
      (playing) => {
        this.playing = playing;
        if (!playing) this.announce();
      },
    );
    this.list = new List(
      (id) => this.select(id),
      (sort) => {
        this.set({ sort });
        this.writeAddress("replace");
        this.drawList();
      },
    );
    this.writeTexts();
    this.listen();
    this.writeAddress("replace");
    notes.forEach((note) => message(note));
  }

  /** Loads and shows the first ranking in the list, then the map. */
  async start(): Promise<void> {
    // asked for at once, drawn when the map is there
    this.files.forces().catch(() => undefined);
    await busy(this.show()).catch((error: unknown) => this.fail(error));
    this.writeAddress("replace");
    performance.mark("list");
    // the list is painted before MapLibre takes the processor
    await new Promise((done) => setTimeout(done));
    try {
      await this.startMap();
    } catch (error) {
      if (!(error instanceof MapError)) console.error(error);
      byId("map").replaceChildren(make("p", { class: "no-map" }, said(error)));
    }
    performance.mark("ready");
  }

  private async startMap(): Promise<void> {
    const opened = this.state;
    const view = await HotspotMap.create(byId("map"), this.file, opened, {
      chosen: (cell) => this.select(cell, false),
      pointed: (what, x, y) => this.point(what, x, y),
      moved: (at) => {
        this.set({ at });
        this.writeAddress("replace");
        this.updateLayers();
      },
      restored: () => {
        this.layers?.forget();
        view.setTheme();
        this.drawKnown();
        this.drawBase();
      },
      baseFailed: () => {
        this.baseFailed = true;
        this.drawBase();
      },
    });
    this.view = view;
    // the list could be used before the map was there
    const { cell, scope, at } = this.state;
    if (at && at !== opened.at) view.goToPlace(at);
    else if (cell !== null && cell !== opened.cell) view.goTo(cell);
    else if (scope !== opened.scope) this.goToScope();
    this.drawCells();
    this.drawBase();
    await painted(view);
    performance.mark("cells");
    await this.addForces();
    if (view.isAlive) await painted(view);
  }

  /** Draws the areas of forces, on which all layers lie; where they fail, the next change tries. */
  private async addForces(): Promise<void> {
    this.forcesFailed = false;
    try {
      const forces = geojson(await this.files.forces());
      if (!this.view?.isAlive) {
        this.forcesFailed = true;
        return;
      }
      this.view.setForces(forces);
      this.layers = new Layers(this.view, this.file, this.files, forces);
    } catch (error) {
      this.forcesFailed = true;
      await this.fail(error);
      return;
    }
    this.drawKnown();
    this.updateLayers();
  }

  // --- changes

  /** Changes what is shown; a change of type, window or scope is one to come back from. */
  async change(change: Partial<State>): Promise<void> {
    const started = performance.now();
    const turn = this.turn + 1; // of the showing that follows
    const entry = parse(location.search, this.file).state;
    const before = await this.ask({ ...this.wanted, ...change });
    if (turn !== this.turn) return; // something else was asked for meanwhile
    this.isStepping = false;
    if (!before) return this.writeAddress("replace");
    const { scope, at } = this.state;
    const isOther = (["type", "window", "scope"] as const).some((k) => this.state[k] !== entry[k]);
    const isElsewhere = scope !== before.scope;
    if (isElsewhere) this.set({ at: null });
    this.writeAddress(isOther ? "push" : "replace");
    if (isElsewhere) this.goToScope();
    else if (at && at !== before.at) this.view?.goToPlace(at); // of a step back that it overtook
    if (isOther) {
      if (this.view?.isAlive) await painted(this.view);
      performance.measure("switch", { start: started, end: performance.now() });
    }
  }

  /** Shows what the address says, after a step back or forward; colours stay as they are liked. */
  private async comeBack(): Promise<void> {
    const { state, notes } = parse(location.search, this.file);
    const { theme, base } = this.state;
    this.controls.stop();
    this.isStepping = true;
    const turn = this.turn + 1;
    const before = await this.ask({ ...state, theme, base }, notes);
    if (turn !== this.turn) return;
    this.isStepping = false;
    this.writeAddress("replace");
    if (!before) return;
    const { at, cell, scope } = state;
    if (at) this.view?.goToPlace(at);
    else if (scope === before.scope && !before.at) return;
    else if (cell !== null) this.view?.goTo(cell);
    else this.goToScope();
  }

  /** Shows what is wanted, and says what was shown before; null where it cannot be shown. */
  private ask(wanted: State, notes: string[] = []): Promise<State | null> {
    clearMessages();
    this.wanted = possible(this.file, wanted, notes);
    notes.forEach((note) => message(note));
    return busy(this.show()).catch((error: unknown) => this.fail(error));
  }

  /** Changes what needs no loading. */
  private set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    this.wanted = { ...this.wanted, ...change };
  }

  private goToScope(): void {
    this.view?.goToScope(this.scope.bounds);
  }

  /** Chooses a cell, or none. */
  select(cell: number | null, move = true): void {
    this.set({ cell });
    this.writeAddress("replace");
    this.drawDetails();
    this.list.select(cell);
    this.drawCells();
    const row = this.rows.find(({ id }) => id === cell);
    if (cell !== null && move) this.view?.goTo(cell);
    if (row) {
      announce(
        `Rank ${number(row.rank)}: ${placeOf(row)}. Hotspot in ${row.hits} of ` +
          `${plural(this.ranking!.windows, "window")}.`,
      );
    }
    if (cell !== null) busy(this.loadHistory()).catch((error: unknown) => this.fail(error));
  }

  /** The next (1) or previous (-1) cell of the list. */
  private step(by: number): void {
    const { shown } = this.list;
    const at = shown.findIndex(({ id }) => id === this.state.cell);
    const to = shown[at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by];
    if (to) this.select(to.id);
  }

  // --- showing

  /**
   * Loads what the wanted state needs and shows it. Says what was shown before; null where
   * something else was asked for meanwhile.
   */
  private async show(): Promise<State | null> {
    const turn = ++this.turn;
    const { scope, month, layer } = this.wanted;
    const key = rankingKey(this.wanted);
    this.updateControls();
    let ranking: Ranking, history: History | null, forecasts: Forecasts | null;
    try {
      if (this.file.rankings[scope]?.[key] === undefined) {
        throw new MapError("There is no ranking of this area in this map.");
      }
      [ranking, history, forecasts] = await Promise.all([
        this.files.ranking(scope, key),
        month && this.file.history ? this.files.history(scope, key) : null,
        layer === "forecasts" ? this.files.forecasts(scope, key) : null,
      ]);
    } catch (error) {
      if (turn !== this.turn) return null;
      const isOther = `${scope}/${key}` !== `${this.state.scope}/${rankingKey(this.state)}`;
      this.wanted = this.state;
      this.updateControls();
      // the first ranking was overtaken before anything was shown
      if (!this.ranking && isOther) busy(this.show()).catch((e: unknown) => this.fail(e));
      throw error;
    }
    if (turn !== this.turn) return null;
    const before = this.state;
    this.state = this.wanted;
    if (this.key !== `${scope}/${key}`) this.history = null;
    this.key = `${scope}/${key}`;
    this.ranking = ranking;
    this.history = history ?? this.history;
    if (month && !ranking.hot) {
      message("This ranking's file does not say in which months a cell was hot: all are shown.");
      this.set({ month: null });
    }
    this.foretold = forecasts && this.foretoldBy(forecasts);
    this.draw();
    if (this.state.cell !== null && !this.history) {
      busy(this.loadHistory()).catch((error: unknown) => this.fail(error));
    }
    return before;
  }

  /** The cells that the chosen model foretold, or the first that foretold any. */
  private foretoldBy({ models }: Forecasts): number[] {
    const there = (this.file.layers?.forecasts?.models ?? []).filter((name) => models[name]);
    const asked = this.state.model;
    const model = asked && there.includes(asked) ? asked : (there[0] ?? null);
    if (asked && asked !== model) {
      message(`${modelName(asked)} did not forecast this ranking: another model is shown.`);
    }
    this.set({ model });
    return model ? models[model]! : [];
  }

  private async loadHistory(): Promise<void> {
    if (this.history || !this.ranking || !this.file.history) return;
    const { key } = this;
    const of = this.files.history(this.state.scope, rankingKey(this.state));
    const history = await of.catch((error: unknown) => {
      if (key === this.key) throw error;
      return null; // of a ranking that is no longer shown
    });
    if (!history || key !== this.key) return;
    this.history = history;
    this.makeRows();
    this.drawDetails();
    this.list.reveal();
  }

  private get type() {
    return this.file.types.find(({ slug }) => slug === this.state.type)!;
  }
  private get scope() {
    return this.file.scopes.find(({ slug }) => slug === this.state.scope)!;
  }
  /** Position of the month looked at: the chosen one, or the map's. */
  private get month() {
    return this.state.month ? this.file.months.indexOf(this.state.month) : 35;
  }
  /** Whether the hot cells of one month are told from the others. */
  private get isOfMonth() {
    return this.state.month !== null;
  }

  private makeRows(): void {
    const names = (slug: string) => this.file.forces[slug]?.name ?? slug;
    const w = this.state.window;
    const isUnknown = (force: string | null) => unpublished(this.file, force, this.month, w) === w;
    const { counted } = this.type;
    this.rows = rowsAt(this.ranking!, this.history, this.month, counted, isUnknown, names);
  }

  /** The cells that are shown in full: all, or those hot in the month looked at. */
  private get full(): Row[] {
    return this.isOfMonth ? this.rows.filter((row) => row.hot) : this.rows;
  }

  private caption(): string {
    const w = windowName(this.state.window);
    const to = monthName(this.file.months[this.month]!);
    return this.isOfMonth
      ? `${this.type.name}, ${this.scope.name}: the hotspots of the ${w} to ${to}`
      : `${this.type.name}, ${this.scope.name}: hotspots of ${w} in the 36 months to ${to}`;
  }

  private draw(): void {
    const { state } = this;
    this.makeRows();
    this.updateControls();
    this.drawList();
    document.title = `${this.type.name}, ${this.scope.name} – ${this.file.title}`;
    const to = monthName(this.file.months[this.month]!);
    byId("of-month").textContent = this.isOfMonth
      ? `${windowName(state.window)} to ${to}`
      : `36 months to ${to}`;
    this.drawDetails();
    this.drawCells();
    this.drawKnown();
    this.updateLayers();
    if (!this.playing) this.announce();
  }

  private drawList(): void {
    this.list.update(this.full, this.state, this.ranking!.windows, this.caption());
  }

  /** Controls say what was asked for, also while it is on its way. */
  private updateControls(): void {
    const isThere = this.key === `${this.wanted.scope}/${rankingKey(this.wanted)}`;
    this.controls.update(this.wanted, isThere ? this.ranking : null);
  }

  private announce(): void {
    if (this.ranking) announce(`${this.caption()}: ${plural(this.full.length, "cell")}.`);
  }

  private drawDetails(): void {
    const { cell } = this.state;
    byId("details").hidden = cell === null || !this.ranking;
    if (cell === null && this.state.embed) byId("tip").hidden = true;
    if (cell === null || !this.ranking) return;
    if (this.state.embed) this.tell(cell);
    const row = this.rows.find(({ id }) => id === cell);
    byId("about-cell").replaceChildren(
      ...(row
        ? details(row, this.shown)
        : [
            make("h2", { id: "details-title" }, `Cell ${cell}`),
            make("p", {}, NEVER_HOT),
          ]),
    );
  }

  private get shown(): Shown {
    const { file, history, month } = this;
    return { file, ranking: this.ranking!, history, month, isChosen: this.state.month !== null };
  }

  private drawCells(): void {
    if (!this.ranking) return;
    const { layer, cell } = this.state;
    const paper = cssColour("--land");
    const ink = cssColour("--chosen");
    let marks: Mark[];
    let key: Node[];
    if (layer === "forecasts" && this.foretold) {
      const hot = this.rows.filter((row) => row.hot).map(({ id }) => id);
      const w = this.state.window;
      const found = forecast(this.foretold, hot, {
        cutOff: this.file.months[35 - w]!,
        to: this.file.month,
        model: modelName(this.state.model ?? ""),
      });
      marks = found.marks;
      key = found.legend;
    } else {
      const isHollow = layer === "tiers" || layer === "bivariate";
      const mark = (row: Row, opacity: number): Mark => ({
        id: row.id,
        fill: [...rampColour(row.frequency), isHollow ? 0 : opacity],
        border: isHollow ? [...ink, opacity] : [...paper, 0.6 * opacity],
        width: isHollow ? 1.2 : 0.75,
      });
      // the hottest last, on top of the others; what is not hot now lies below
      const hottestLast = [...this.rows].reverse();
      marks = this.isOfMonth
        ? [
            ...hottestLast.filter((row) => !row.hot).map((row) => mark(row, 0.2)),
            ...hottestLast.filter((row) => row.hot).map((row) => mark(row, 1)),
          ]
        : hottestLast.map((row) => mark(row, 0.92));
      key = ramp(this.ranking.windows);
      if (this.isOfMonth) {
        const half = hex(rampColour(0.5));
        key.push(entry(half, "", "hot in the month shown"), entry(half, "faint", "hot in others"));
      }
      if (isHollow) key = [entry(hex(ink), "ring", "hotspot")];
    }
    if (cell !== null) {
      const own = marks.find(({ id }) => id === cell);
      marks.push({ id: cell, fill: own?.fill ?? [0, 0, 0, 0], border: [...ink, 1], width: 3 });
    }
    key.push(...(this.layers?.legend(this.state) ?? []));
    if (this.gaps.missing.length) key.push(entry("", "hatch", "months missing"));
    if (this.gaps.partial.length) key.push(entry("", "dots", "months published in part"));
    byId("key").replaceChildren(...key);
    this.view?.setCells(marks);
  }

  private drawKnown(): void {
    const from = this.state.month ? this.month - this.state.window + 1 : 0;
    this.gaps = gaps(this.file, from, this.month);
    byId("gaps").replaceChildren(...gapList(this.file, this.gaps));
    const of = this.state.month
      ? `the ${windowName(this.state.window)} to ${monthName(this.state.month)}`
      : `the 36 months to ${monthName(this.file.month)}`;
    byId("gaps-of").textContent = `Of ${of}:`;
    this.view?.setKnown(this.gaps.missing, this.gaps.partial, this.state.scope);
  }

  private updateLayers(): void {
    if (this.layers && this.state.layer) this.drawCells();
    if (this.forcesFailed) void busy(this.addForces());
    if (!this.layers || !this.view?.isAlive) return;
    const drawn = this.layers.update(this.state, this.isBaseOn());
    busy(drawn).catch((error: unknown) => this.fail(error));
  }

  private isBaseOn(): boolean {
    return !!this.file.basemap && this.state.base && !this.baseFailed && navigator.onLine !== false;
  }

  private drawBase(): void {
    const isOn = this.isBaseOn();
    this.view?.setBase(isOn);
    const box = byId<HTMLInputElement>("base");
    box.checked = isOn;
    box.parentElement!.hidden = !this.file.basemap;
    byId("base-note").hidden = isOn || !this.state.base || !this.file.basemap;
    this.updateLayers();
  }

  // --- the pointer

  private point(what: { cell: number } | { force: string } | null, x: number, y: number): void {
    if (this.state.embed && this.state.cell !== null) return; // it says what the chosen cell is
    const tip = byId("tip");
    let text: string | null = this.layers?.under(x, y) ?? null;
    if (what && "cell" in what) {
      const row = this.rows.find(({ id }) => id === what.cell);
      text = row
        ? `${placeOf(row)} · rank ${number(row.rank)} · hot in ${row.hits} of ${this.ranking!.windows}`
        : `Cell ${what.cell}`;
    } else if (what && !text) {
      const missing = gapsOf(this.file, what.force, this.gaps);
      text = `${this.file.forces[what.force]?.name ?? what.force}${missing && ` · ${missing}`}`;
    }
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const width = byId("map").clientWidth;
    tip.style.left = `${Math.min(x + 12, Math.max(width - tip.offsetWidth - 8, 8))}px`;
    tip.style.top = `${y + 16}px`;
  }

  /** In an embedded map, where there is no list: the cell in a few words. */
  private tell(cell: number): void {
    const row = this.rows.find(({ id }) => id === cell);
    const said = row
      ? lines(row, this.shown).slice(0, -1).map(([name, what]) => `${name}: ${what}`)
      : [NEVER_HOT];
    const tip = byId("tip");
    tip.replaceChildren(
      make("strong", {}, row ? placeOf(row) : `Cell ${cell}`),
      ...said.map((text) => make("span", {}, text)),
    );
    tip.hidden = false;
    tip.style.left = "8px";
    tip.style.top = "8px";
  }

  // --- the frame

  private writeTexts(): void {
    const { file } = this;
    byId("title").textContent = file.title;
    // on a small screen the key would cover the map
    byId<HTMLDetailsElement>("legend").open = !matchMedia("(max-width: 52rem)").matches;
    byId("note").hidden = !file.note;
    byId("note").textContent = file.note ?? "";
    const releases = Object.entries(file.releases).map(
      ([release, months]) => `${monthName(release)} (${plural(months, "month")})`,
    );
    byId("built").textContent =
      `Made from the police.uk ${releases.length === 1 ? "release" : "releases"} of ${releases.join(", ") || "no known month"}.`;
    byId("licences").replaceChildren(...file.licences.map((line) => make("li", {}, line)));
    for (const format of Object.keys(FORMATS)) {
      const button = make("button", { type: "button" }, format);
      button.addEventListener("click", () => {
        if (!this.ranking) return;
        button.disabled = true;
        download(format, this.what())
          .catch((error: unknown) => this.fail(error))
          .finally(() => (button.disabled = false));
      });
      byId("formats").append(button);
    }
  }

  private what(): What {
    const { state } = this;
    const found = new Set(this.list.shown.map(({ id }) => id)); // rows are made anew
    const rows = this.full.filter((row) => found.has(row.id));
    return {
      rows: this.isOfMonth
        ? rows.sort((a, b) => (a.rankInMonth ?? a.rank) - (b.rankInMonth ?? b.rank))
        : rows,
      scope: state.scope,
      crimeType: this.type.name,
      typeSlug: state.type,
      windowMonths: state.window,
      windows: this.ranking!.windows,
      month: this.file.months[this.month]!,
      isChosen: this.isOfMonth,
      mapMonth: this.file.month,
    };
  }

  private listen(): void {
    // the map and the list fill what the lines above them leave of the window
    const panel = byId("panel");
    new ResizeObserver(() => panel.style.setProperty("--above", `${panel.offsetTop}px`)).observe(
      document.body,
    );
    addEventListener("popstate", () => this.comeBack());
    addEventListener("online", () => {
      clearMessages();
      this.baseFailed = false;
      this.drawBase();
    });
    addEventListener("offline", () => this.drawBase());
    addEventListener("keydown", (event) => {
      const field = (event.target as HTMLElement).matches("input:not([type=radio]), select");
      if (field || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "n") this.step(1);
      if (event.key === "p") this.step(-1);
      if (event.key === "Escape" && this.state.cell !== null) this.select(null);
    });
    byId("next").addEventListener("click", () => this.step(1));
    byId("previous").addEventListener("click", () => this.step(-1));
    byId("close").addEventListener("click", () => {
      this.select(null);
      byId("rows").querySelector("button")?.focus();
    });
    byId("theme").addEventListener("click", () => {
      this.set({ theme: isDark() ? "light" : "dark" });
      this.retheme();
      this.writeAddress("replace");
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.retheme());
    byId<HTMLInputElement>("base").addEventListener("change", (event) => {
      this.baseFailed = false;
      this.set({ base: (event.target as HTMLInputElement).checked });
      this.writeAddress("replace");
      this.drawBase();
    });
    addEventListener("beforeprint", () => {
      if (!this.view) return;
      const picture = make("img", { alt: this.caption(), id: "picture" });
      picture.src = this.view.picture();
      byId("map").after(picture);
      byId<HTMLDetailsElement>("legend").open = true;
      const { length } = this.list.shown;
      byId("printed").textContent =
        length > 25 ? `The first 25 of ${plural(length, "cell")} are printed.` : "";
    });
    addEventListener("afterprint", () => byId("picture")?.remove());
  }

  private applyTheme(): void {
    const { theme } = this.state;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    readRamp();
    document.documentElement.toggleAttribute("data-dark", isDark());
    byId("theme").setAttribute("aria-pressed", String(isDark()));
  }

  private retheme(): void {
    this.applyTheme();
    this.view?.setTheme();
    this.layers?.setTheme();
    if (this.ranking) this.draw();
  }

  private writeAddress(how: "push" | "replace"): void {
    const address = query(this.state, this.file);
    if (how === "push") history.pushState(null, "", address);
    else if (!this.isStepping) history.replaceState(null, "", address);
    byId<HTMLAnchorElement>("whole").href = query({ ...this.state, embed: false }, this.file);
  }

  /** Says what went wrong. A file that is gone may be one of an older build of the map. */
  async fail(error: unknown): Promise<null> {
    if (error instanceof MissingFile) {
      const now = await fetchMap().catch(() => null);
      if (now && now.data !== this.file.data) {
        const reload = make("button", { type: "button" }, "Reload");
        reload.addEventListener("click", () => location.reload());
        message("The map was renewed meanwhile: reload the page. ", reload);
        return null;
      }
    } else if (!(error instanceof MapError)) console.error(error);
    message(said(error));
    return null;
  }

  /** The cells as hosts and tests ask for them. */
  cells() {
    const full = new Set(this.full);
    return this.rows.map((row) => ({
      ...row,
      windows: this.ranking!.windows,
      shown: full.has(row) ? "full" : "faint",
      colour: hex(rampColour(row.frequency)),
      corners: corners(row.id),
    }));
  }
}

function said(error: unknown): string {
  return error instanceof MapError ? error.message : `Something went wrong: ${String(error)}`;
}

function announce(text: string): void {
  byId("said").textContent = text;
}

/** Says something above list and map, once. */
function message(text: string, ...more: Node[]): void {
  const { children } = byId("messages");
  if ([...children].some((box) => box.firstChild?.textContent === text)) return;
  const close = make("button", { type: "button", "aria-label": "Close this note" }, "×");
  const box = make("p", { class: "message" }, text, ...more, close);
  close.addEventListener("click", () => box.remove());
  byId("messages").append(box);
}

function clearMessages(): void {
  byId("messages").replaceChildren();
}

let atWork = 0;

/** Marks the panel as busy while something is loaded and drawn. */
async function busy<T>(work: Promise<T>): Promise<T> {
  byId("panel").setAttribute("aria-busy", String(++atWork > 0));
  try {
    return await work;
  } finally {
    byId("panel").setAttribute("aria-busy", String(--atWork > 0));
  }
}

/** Resolves when the map has been drawn anew. */
function painted(view: HotspotMap): Promise<void> {
  return new Promise((done) => {
    view.map.once("render", () => done());
    view.map.triggerRepaint();
  });
}

/**
 * What a host or a test may use. `ready` resolves when list and map are drawn; `map` is MapLibre's
 * map, null before that and where there is no WebGL; `state()` what the page shows; `cells()` the
 * cells of the ranking, each with its corners in WGS84 and whether it is shown in full or faint;
 * `select(id)` chooses a cell; `colour(frequency)` is the ramp.
 */
export interface HotspotMapInterface {
  ready: Promise<void>;
  readonly map: HotspotMap["map"] | null;
  state(): State;
  cells(): ReturnType<Page["cells"]>;
  select(id: number | null): void;
  colour(frequency: number): string;
}

let page: Page | null = null;

const ready = (async () => {
  if (!CSS.supports("color", "light-dark(red, red)")) {
    message("This browser is older than 2024: the map's colours may be missing. Please update it.");
  }
  try {
    page = new Page(await fetchMap());
    await page.start();
  } catch (error) {
    if (page) await page.fail(error);
    else {
      if (!(error instanceof MapError)) console.error(error);
      message(said(error));
    }
  }
})();

const hotspotMap: HotspotMapInterface = {
  ready,
  get map() {
    return page?.view?.map ?? null;
  },
  state: () => page!.state,
  cells: () => page?.cells() ?? [],
  select: (id) => page?.select(id),
  colour: (frequency) => hex(rampColour(frequency)),
};
Object.assign(window, { hotspotMap });
