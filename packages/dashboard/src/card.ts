import type { Action, DatabaseSummary, DatabaseUrls } from './api.ts';
import { actionsIn, describeLimits, describeMemory, describeRest, masked, toneOf } from './databases.ts';

export interface CardHandlers {
  act(id: string, action: Action): Promise<void>;
  setAlwaysOn(id: string, alwaysOn: boolean): Promise<void>;
  urls(id: string): Promise<DatabaseUrls>;
  copied(label: string): void;
}

const ACTIONS: readonly (readonly [Action, string])[] = [
  ['wake', 'Wake'],
  ['suspend', 'Suspend'],
  ['stop', 'Stop'],
];

/** Makes an element with classes and children. Strings become text nodes, so data never becomes markup. */
function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = '',
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** The card of one database in the list. It is updated in place, so that it keeps focus and an open drawer. */
export class Card {
  readonly node: HTMLLIElement;
  readonly #handlers: CardHandlers;
  readonly #name = element('h3');
  readonly #state = element('span', 'state');
  readonly #facts = element('p', 'quiet');
  readonly #error = element('p', 'error');
  readonly #buttons = new Map<Action, HTMLButtonElement>();
  readonly #alwaysOn = element('button', '', 'Always on');
  readonly #urls = element('dl', 'urls');
  #database: DatabaseSummary;
  #busy = false;

  constructor(database: DatabaseSummary, handlers: CardHandlers) {
    this.#database = database;
    this.#handlers = handlers;
    const actions = element('div', 'actions');
    for (const [action, label] of ACTIONS) {
      const button = element('button', '', label);
      button.type = 'button';
      button.addEventListener('click', () => void this.#act(action));
      this.#buttons.set(action, button);
      actions.append(button);
    }
    this.#alwaysOn.type = 'button';
    this.#alwaysOn.addEventListener('click', () => void this.#turnAlwaysOn());
    actions.append(this.#alwaysOn);
    const drawer = element('details', '', element('summary', '', 'Connect'), this.#urls);
    drawer.addEventListener('toggle', () => {
      if (drawer.open) void this.#showUrls();
    });
    this.#error.setAttribute('role', 'alert');
    const title = element('div', '', this.#name, this.#facts);
    this.node = element('li', 'card', element('div', 'row', title, this.#state, actions), this.#error, drawer);
    this.update(database);
  }

  update(database: DatabaseSummary): void {
    this.#database = database;
    this.node.dataset.name = database.name;
    set(this.#name, database.name);
    set(this.#state, database.state);
    this.#state.dataset.tone = toneOf(database.state);
    set(
      this.#facts,
      [
        `${plural(database.operationsToday, 'query', 'queries')} today`,
        plural(database.keys, 'key', 'keys'),
        describeRest(database.rest),
        describeLimits(database.limits),
        ...(database.parent === null ? [] : [`branch of ${database.parent.name}`]),
        describeMemory(database.memoryBytes),
      ]
        .filter(Boolean)
        .join(', '),
    );
    this.#allow();
  }

  /** Buttons for actions that are not possible are marked as disabled instead of removed, so that they keep focus. */
  #allow(): void {
    const allowed = actionsIn(this.#database.state);
    for (const [action, label] of ACTIONS) {
      const button = this.#buttons.get(action);
      button?.setAttribute('aria-label', `${label} ${this.#database.name}`);
      button?.setAttribute('aria-disabled', String(this.#busy || !allowed[action]));
    }
    this.#alwaysOn.setAttribute('aria-label', `Keep ${this.#database.name} always on`);
    this.#alwaysOn.setAttribute('aria-pressed', String(this.#database.rest.alwaysOn));
    this.#alwaysOn.setAttribute('aria-disabled', String(this.#busy));
  }

  async #act(action: Action): Promise<void> {
    if (actionsIn(this.#database.state)[action]) await this.#do(() => this.#handlers.act(this.#database.id, action));
  }

  async #turnAlwaysOn(): Promise<void> {
    const { id, rest } = this.#database;
    await this.#do(() => this.#handlers.setAlwaysOn(id, !rest.alwaysOn));
  }

  /** Runs one action at a time and shows its error on the card. */
  async #do(work: () => Promise<void>): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    set(this.#error, '');
    this.#allow();
    try {
      await work();
    } catch (error) {
      set(this.#error, (error as Error).message);
    } finally {
      this.#busy = false;
      this.#allow();
    }
  }

  async #showUrls(): Promise<void> {
    set(this.#error, '');
    try {
      const urls = await this.#handlers.urls(this.#database.id);
      this.#urls.replaceChildren(
        this.#urlRow('Prisma', urls.prismaUrl),
        this.#urlRow('Postgres', urls.postgresUrl),
        this.#urlRow('Events', urls.pulseUrl),
      );
    } catch (error) {
      set(this.#error, (error as Error).message);
    }
  }

  #urlRow(label: string, url: string | null): HTMLElement {
    if (url === null) {
      const hint = `No owner key is live: npx dormouse key create ${this.#database.name}`;
      return element('div', 'url', element('dt', '', label), element('dd', '', hint));
    }
    const hidden = masked(url);
    const code = element('code', '', hidden);
    const row = element('div', 'url', element('dt', '', label), element('dd', '', code));
    const show = element('button', '', 'Show');
    show.type = 'button';
    show.setAttribute('aria-label', `Show the ${label} URL of ${this.#database.name}`);
    show.setAttribute('aria-pressed', 'false');
    show.hidden = hidden === url;
    show.addEventListener('click', () => {
      const shown = code.dataset.shown !== 'true';
      code.dataset.shown = String(shown);
      show.setAttribute('aria-pressed', String(shown));
      set(show, shown ? 'Hide' : 'Show');
      set(code, shown ? url : hidden);
    });
    const copy = element('button', '', 'Copy');
    copy.type = 'button';
    copy.setAttribute('aria-label', `Copy the ${label} URL of ${this.#database.name}`);
    copy.addEventListener('click', () => void this.#copy(label, url, code));
    row.append(show, copy);
    return row;
  }

  async #copy(label: string, url: string, code: HTMLElement): Promise<void> {
    try {
      await navigator.clipboard.writeText(url);
      this.#handlers.copied(label);
    } catch {
      // Without a clipboard (plain http under another name than localhost) the address is shown and selected, so that a
      // key press copies it.
      code.dataset.shown = 'true';
      set(code, url);
      getSelection()?.selectAllChildren(code);
      set(this.#error, 'The browser does not let this page copy. The address is selected: press Ctrl-C.');
    }
  }
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Sets text only where it differs, so that screen readers announce changes only. */
function set(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
