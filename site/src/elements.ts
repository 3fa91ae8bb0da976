// Makes elements of the page.

type Child = Node | string | null | false;

/** An element with attributes (false and null leave one out) and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | null> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** The element of index.html with this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export function swatch(colour: string, kind = ""): HTMLElement {
  const square = make("i", { class: `swatch ${kind}`, "aria-hidden": "true" });
  square.style.setProperty("--of", colour);
  return square;
}
