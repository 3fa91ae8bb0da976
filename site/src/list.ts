// The ranked list beside the map: a table that is searched and sorted.
import { hex, rampColour } from "./colours";
import { byId, make, swatch } from "./elements";
import { CLASSES, type Row } from "./ranking";
import { SORTS, type State } from "./state";
import { number, percent, placeOf, plural } from "./words";

const PAGE = 200;

interface Column {
  heading: string;
  value(row: Row): string | number | null;
  cell(row: Row): Node | string;
  numeric?: boolean;
}

export class List {
  /** The rows as they stand in the list: sorted, those that match the search. */
  shown: Row[] = [];
  private rows: Row[] = [];
  private limit = PAGE;
  private state: State | null = null;
  private windows = 0;
  private caption = "";
  private ofMonth = false;

  private readonly columns: Record<string, Column> = {
    rank: {
      heading: "Rank",
      numeric: true,
      value: (row) => (this.ofMonth ? (row.rankInMonth ?? row.rank) : row.rank),
      cell: (row) => number(this.ofMonth ? (row.rankInMonth ?? row.rank) : row.rank),
    },
    place: {
      heading: "Place",
      value: placeOf,
      cell: (row) => this.place(row),
    },
    force: { heading: "Force", value: (row) => row.forceName, cell: (row) => row.forceName ?? "–" },
    crimes: {
      heading: "Crimes",
      numeric: true,
      value: (row) => row.crimes,
      cell: (row) => (row.crimes === null ? "–" : number(row.crimes)),
    },
    frequency: {
      heading: "Frequency",
      numeric: true,
      value: (row) => row.frequency,
      cell: (row) =>
        make(
          "span",
          { title: `Hot in ${row.hits} of ${this.windows} windows` },
          swatch(hex(rampColour(row.frequency))),
          percent(row.frequency),
        ),
    },
    class: {
      heading: "Class",
      value: (row) => (row.persistence === null ? null : CLASSES.indexOf(row.persistence)),
      cell: (row) => row.persistence ?? "–",
    },
  };

  constructor(
    private readonly choose: (id: number) => void,
    private readonly sort: (sort: string) => void,
  ) {
    byId("search").addEventListener("input", () => {
      this.limit = PAGE;
      this.draw();
    });
    byId("search").addEventListener("keydown", ({ key }) => {
      const [first] = this.shown;
      if (key === "Enter" && first) this.choose(first.id);
    });
    byId("more").addEventListener("click", () => {
      const first = this.limit;
      this.limit += PAGE;
      this.draw();
      byId("rows").querySelectorAll<HTMLElement>("button")[first]?.focus();
    });
    byId("rows").addEventListener("keydown", (event) => this.step(event));
    byId("rows").addEventListener("click", (event) => {
      const row = (event.target as HTMLElement).closest<HTMLElement>("tr");
      if (row?.dataset.id) this.choose(Number(row.dataset.id));
    });
  }

  /** `rows` are the cells that are shown, `caption` says what they are. */
  update(rows: Row[], state: State, windows: number, caption: string): void {
    if (caption !== this.caption) this.limit = PAGE;
    this.rows = rows;
    this.state = state;
    this.windows = windows;
    this.caption = caption;
    this.ofMonth = state.month !== null;
    this.draw();
  }

  /** Chooses a row, without drawing the list anew where it is there. */
  select(cell: number | null): void {
    if (!this.state) return;
    this.state = { ...this.state, cell };
    if (this.shown.findIndex(({ id }) => id === cell) >= this.limit) this.draw();
    else this.mark(cell);
  }

  private mark(cell: number | null): void {
    for (const row of byId("rows").querySelectorAll<HTMLElement>("tr[data-id]")) {
      const chosen = Number(row.dataset.id) === cell;
      row.classList.toggle("chosen", chosen);
      const button = row.querySelector("button")!;
      button.tabIndex = chosen ? 0 : -1;
      if (chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    if (!byId("rows").querySelector('button[tabindex="0"]')) {
      byId("rows").querySelector("button")?.setAttribute("tabindex", "0");
    }
    this.reveal();
  }

  /** Scrolls the list, and only it, to the chosen row. */
  reveal(): void {
    const row = byId("rows").querySelector<HTMLElement>("tr.chosen");
    const box = document.querySelector<HTMLElement>(".scroll")!;
    if (!row) return;
    const above = row.offsetTop - box.scrollTop;
    const heading = byId("headings").offsetHeight;
    if (above < heading || above + row.offsetHeight > box.clientHeight) {
      box.scrollTop = row.offsetTop - (box.clientHeight - row.offsetHeight) / 2;
    }
  }

  private place(row: Row): Node {
    const detail = row.place && row.lsoa ? row.lsoa : null;
    return make(
      "button",
      { type: "button", tabindex: -1 },
      row.place ?? row.lsoa ?? `Cell ${row.id}`,
      detail && make("small", {}, detail),
    );
  }

  private step(event: KeyboardEvent): void {
    const all = [...byId("rows").querySelectorAll<HTMLElement>("button")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[at]!.tabIndex = -1;
    all[to]!.tabIndex = 0;
    all[to]!.focus();
  }

  private matching(): Row[] {
    const text = byId<HTMLInputElement>("search").value.trim().toLowerCase();
    if (!text) return this.rows;
    if (/^\d+$/.test(text)) {
      const exact = this.rows.filter((row) => String(row.id) === text);
      if (exact.length) return exact;
    }
    const words = text.split(/\s+/);
    return this.rows.filter((row) => {
      const names = `${row.place ?? ""} ${row.lsoa ?? ""} ${row.forceName ?? ""} ${row.id}`.toLowerCase();
      return words.every((word) => names.includes(word));
    });
  }

  private draw(): void {
    if (!this.state) return; // the first ranking has not come
    const { sort, cell } = this.state;
    const focused = document.activeElement?.closest<HTMLElement>("[data-name], [data-id]")?.dataset;
    // columns that the file does not have are left out
    const names = SORTS.filter(
      (name) => name === "place" || this.rows.some((row) => this.columns[name]!.value(row) !== null),
    );
    const asked = sort.replace("-", "") as (typeof SORTS)[number];
    const by = names.includes(asked) ? asked : "rank";
    const down = by === asked && sort.startsWith("-");
    const { value } = this.columns[by]!;
    const sign = down ? -1 : 1;
    this.shown = [...this.matching()].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === y) return a.rank - b.rank;
      if (x === null || y === null) return x === null ? 1 : -1;
      return sign * (typeof x === "string" ? x.localeCompare(y as string, "en") : x - (y as number));
    });
    const chosen = this.shown.findIndex(({ id }) => id === cell);
    this.limit = Math.max(this.limit, PAGE * Math.ceil((chosen + 1) / PAGE));
    byId("list-caption").textContent = this.caption;
    byId("headings").replaceChildren(
      ...names.map((name) => {
        const { heading, numeric } = this.columns[name]!;
        const sorted = name !== by ? null : down ? "descending" : "ascending";
        const button = make("button", { type: "button" }, heading);
        button.addEventListener("click", () => {
          // numbers are first sorted from the highest, except the rank
          const downFirst = numeric && name !== "rank";
          this.sort(name === by ? (down ? name : `-${name}`) : downFirst ? `-${name}` : name);
        });
        return make(
          "th",
          { scope: "col", class: numeric ? "number" : null, "aria-sort": sorted, "data-name": name },
          button,
        );
      }),
    );
    byId("rows").replaceChildren(
      ...this.shown.slice(0, this.limit).map((row) =>
        make(
          "tr",
          { "data-id": row.id },
          ...names.map((name) =>
            make(
              name === "place" ? "th" : "td",
              {
                class: this.columns[name]!.numeric ? "number" : name,
                scope: name === "place" ? "row" : null,
              },
              this.columns[name]!.cell(row),
            ),
          ),
        ),
      ),
    );
    const found = this.shown.length;
    byId("found").textContent =
      found === this.rows.length
        ? plural(found, "cell")
        : `${number(found)} of ${plural(this.rows.length, "cell")}`;
    const more = byId<HTMLButtonElement>("more");
    more.hidden = found <= this.limit;
    more.textContent = `Show ${number(Math.min(PAGE, found - this.limit))} more`;
    this.mark(cell);
    // what had the focus is new now
    const again = focused?.name ? `[data-name="${focused.name}"]` : `[data-id="${focused?.id}"]`;
    if (focused) document.querySelector<HTMLElement>(`.list ${again} button`)?.focus();
  }
}
