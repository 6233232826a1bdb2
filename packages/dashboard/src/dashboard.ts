import { ApiError, api, type DatabaseSummary } from './api.ts';
import { Card, type CardHandlers } from './card.ts';
import { applyChange, type Change, describePlatform, summarize } from './databases.ts';
import { Live } from './live.ts';

/** Time between two requests for counts, which do not come as events. Requests are sent while the page is visible. */
const COUNTS_MS = 10_000;
/**
 * A page that was hidden for longer connects anew: its connection may have broken unnoticed, as on a sleeping laptop.
 */
const HIDDEN_MS_MAX = 30_000;
const NOTICE_MS = 2500;

function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

const page = {
  link: byId('link'),
  signIn: byId('sign-in'),
  signInForm: byId<HTMLFormElement>('sign-in-form'),
  signInError: byId('sign-in-error'),
  token: byId<HTMLInputElement>('token'),
  databases: byId('databases'),
  summary: byId('summary'),
  createForm: byId<HTMLFormElement>('create-form'),
  createError: byId('create-error'),
  name: byId<HTMLInputElement>('name'),
  none: byId('none'),
  list: byId('list'),
  notice: byId('notice'),
  about: byId('about'),
};

/**
 * The page. Without a session it shows the form for the token, and with a session the databases. States come only from
 * the event stream, because replies use other connections and may be older than an event that has already arrived.
 */
class Dashboard implements CardHandlers {
  #list: readonly DatabaseSummary[] = [];
  readonly #cards = new Map<string, Card>();
  #live: Live | undefined;
  #noticeTimer = 0;

  async open(): Promise<void> {
    const token = takeToken();
    try {
      if (token !== undefined) await api.openSession(token);
      else if (!(await api.hasSession())) return this.#signedOut('');
      this.#signedIn();
    } catch (error) {
      this.#signedOut((error as Error).message);
    }
  }

  async signIn(token: string): Promise<void> {
    try {
      await api.openSession(token);
      page.token.value = '';
      this.#signedIn();
    } catch (error) {
      page.signInError.textContent = (error as Error).message;
    }
  }

  async create(name: string): Promise<void> {
    page.createError.textContent = '';
    try {
      await api.create(name);
      page.name.value = '';
      this.#notice(`Created ${name}`);
    } catch (error) {
      page.createError.textContent = (error as Error).message;
    }
  }

  readonly act: CardHandlers['act'] = async (id, action) => {
    await api.act(id, action);
  };
  readonly setAlwaysOn: CardHandlers['setAlwaysOn'] = async (id, alwaysOn) => {
    await api.setAlwaysOn(id, alwaysOn);
  };
  readonly urls: CardHandlers['urls'] = api.urls;
  readonly copied: CardHandlers['copied'] = (label) => this.#notice(`Copied the ${label} URL`);

  refresh(): void {
    this.#live?.refresh();
  }

  /** Updates the counts. Its failure is ignored, because the live connection reports that the platform is gone. */
  async count(): Promise<void> {
    if (this.#live === undefined || document.hidden) return;
    try {
      this.#apply({ kind: 'counts', databases: await api.databases() });
      this.#tellOfPlatform();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.#signedOut('');
    }
  }

  #signedIn(): void {
    page.signIn.hidden = true;
    page.signInError.textContent = '';
    page.link.hidden = false;
    page.databases.hidden = false;
    this.#live?.stop();
    this.#live = new Live({
      open: () => new EventSource('/api/events'),
      hasSession: api.hasSession,
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
      onChange: (change) => this.#apply(change),
      onLink: (link) => {
        page.link.dataset.link = link;
        page.link.textContent = link === 'live' ? 'Live' : 'Connection lost, trying again';
      },
      onSignedOut: () => this.#signedOut('The session has ended.'),
    });
    this.#tellOfPlatform();
  }

  #tellOfPlatform(): void {
    api.status().then(
      (status) => {
        const about = describePlatform(status, this.#list);
        if (page.about.textContent !== about) page.about.textContent = about;
      },
      () => {},
    );
  }

  #signedOut(why: string): void {
    this.#live?.stop();
    this.#live = undefined;
    page.databases.hidden = true;
    page.link.hidden = true;
    page.signIn.hidden = false;
    page.signInError.textContent = why;
    page.token.focus();
  }

  #apply(change: Change): void {
    this.#list = applyChange(this.#list, change);
    const gone = new Set(this.#cards.keys());
    for (const [index, database] of this.#list.entries()) {
      gone.delete(database.id);
      let card = this.#cards.get(database.id);
      if (card) card.update(database);
      else {
        card = new Card(database, this);
        this.#cards.set(database.id, card);
      }
      // A moved node loses its focus, so a node is moved only when it is in another place.
      if (page.list.children[index] !== card.node) page.list.insertBefore(card.node, page.list.children[index] ?? null);
    }
    for (const id of gone) {
      this.#cards.get(id)?.node.remove();
      this.#cards.delete(id);
    }
    page.none.hidden = this.#list.length > 0;
    const summary = summarize(this.#list);
    if (page.summary.textContent !== summary) page.summary.textContent = summary;
  }

  #notice(text: string): void {
    page.notice.textContent = text;
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => {
      page.notice.textContent = '';
    }, NOTICE_MS);
  }
}

/** Removes the token from the page's address, so that it is neither in the address bar nor in the history. */
function takeToken(): string | undefined {
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? undefined;
  if (location.hash !== '') history.replaceState(null, '', location.pathname);
  return token;
}

const dashboard = new Dashboard();
page.signInForm.addEventListener('submit', (event) => {
  event.preventDefault();
  void dashboard.signIn(page.token.value.trim());
});
page.createForm.addEventListener('submit', (event) => {
  event.preventDefault();
  void dashboard.create(page.name.value.trim());
});
// In a tab that already shows the page, opening the printed address changes only the fragment.
addEventListener('hashchange', () => void dashboard.open());
addEventListener('online', () => dashboard.refresh());
let hiddenAt = 0;
document.addEventListener('visibilitychange', () => {
  if (document.hidden) hiddenAt = Date.now();
  else if (Date.now() - hiddenAt > HIDDEN_MS_MAX) dashboard.refresh();
});
setInterval(() => void dashboard.count(), COUNTS_MS);
void dashboard.open();
