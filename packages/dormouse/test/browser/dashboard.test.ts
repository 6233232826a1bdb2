import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CHROMIUM, launchBrowser } from '../support/browser.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

describe.skipIf(CHROMIUM === undefined)('the dashboard in Chromium', () => {
  let platform: Platform;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** Errors that the browser reports: a script that failed, or a violation of the security policy. */
  let complaints: string[];

  beforeAll(async () => {
    platform = await startPlatform({ flags: ['--suspend-after', 'never', '--stop-after', 'never'] });
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await platform?.stop();
  });
  beforeEach(async () => {
    context = await browser.newContext();
    page = await context.newPage();
    complaints = [];
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
  });
  afterEach(async () => {
    await context.close();
  });

  const address = (token = platform.adminToken) => `${platform.http}/dashboard/#token=${token}`;
  const card = (name: string) => page.locator(`.card[data-name="${name}"]`);
  const shows = (name: string, state: string) => card(name).locator('.state').filter({ hasText: state }).waitFor();
  const press = (action: string, name: string) =>
    page.getByRole('button', { name: `${action} ${name}`, exact: true }).click();
  const live = () => page.locator('#link').filter({ hasText: 'Live' }).waitFor();

  it('the dashboard takes the token from the fragment, exchanges it for a cookie and removes it from the address', async () => {
    await page.goto(address());
    await card('main').waitFor();
    await live();
    expect(page.url()).toBe(`${platform.http}/dashboard/`);
    const cookies = await context.cookies(`${platform.http}/api/`);
    expect(cookies).toHaveLength(1);
    expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
    expect(cookies[0]?.value).not.toContain(platform.adminToken);
    // The token is in no place that a script can read.
    const readable = await page.evaluate(
      'JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, location.href, history.state])',
    );
    expect(readable).not.toContain(platform.adminToken);
    // The cookie alone is enough from now on.
    await page.reload();
    await card('main').waitFor();
    expect(complaints).toEqual([]);
  });

  it('the dashboard shows states as they change, whoever changes them', async () => {
    await page.goto(address());
    await live();
    await platform.createDatabase('seen');
    await shows('seen', 'stopped');
    await press('Wake', 'seen');
    await shows('seen', 'running');
    await press('Suspend', 'seen');
    await shows('seen', 'suspended');
    expect(await platform.json('db', 'show', 'seen')).toMatchObject({ state: 'suspended' });
    await press('Wake', 'seen');
    await shows('seen', 'running');
    await press('Stop', 'seen');
    await shows('seen', 'stopped');
    await platform.json('db', 'wake', 'seen');
    await shows('seen', 'running');
    await platform.json('db', 'suspend', 'seen');
    await shows('seen', 'suspended');
    await platform.json('db', 'delete', 'seen', '--yes');
    await card('seen').waitFor({ state: 'detached' });
    expect(complaints).toEqual([]);
  });

  it('a button keeps the focus when the state that it shows changes', async () => {
    await platform.createDatabase('focus');
    await platform.json('db', 'wake', 'focus');
    await page.goto(address());
    await shows('focus', 'running');
    const suspend = page.getByRole('button', { name: 'Suspend focus', exact: true });
    await suspend.focus();
    await page.keyboard.press('Enter');
    await shows('focus', 'suspended');
    expect(await suspend.getAttribute('aria-disabled')).toBe('true');
    expect(await page.evaluate('document.activeElement.ariaLabel')).toBe('Suspend focus');
    await platform.json('db', 'delete', 'focus', '--yes');
  });

  it('the dashboard sets a database to always on, and shows what each database uses', async () => {
    await platform.createDatabase('kept');
    await page.goto(address());
    await card('kept').waitFor();
    const button = page.getByRole('button', { name: 'Keep kept always on', exact: true });
    expect(await button.getAttribute('aria-pressed')).toBe('false');
    await button.click();
    // No client has used the database.
    await shows('kept', 'running');
    await card('kept').getByText('always on', { exact: false }).first().waitFor();
    await page.locator('[aria-label="Keep kept always on"][aria-pressed="true"]').waitFor();
    await button.click();
    await page.locator('[aria-label="Keep kept always on"][aria-pressed="false"]').waitFor();
    expect(complaints).toEqual([]);
    await platform.json('db', 'delete', 'kept', '--yes');
  });

  it('the dashboard creates a database, and says why one cannot be created', async () => {
    await page.goto(address());
    await live();
    const name = page.getByRole('textbox', { name: 'Name of the new database' });
    await name.fill('made-here');
    await name.press('Enter');
    await card('made-here').waitFor();
    expect((await platform.json<{ name: string }[]>('db', 'list')).map((one) => one.name)).toContain('made-here');
    await name.fill('made-here');
    await name.press('Enter');
    await page.locator('#create-error').filter({ hasText: 'exists' }).waitFor();
    await platform.json('db', 'delete', 'made-here', '--yes');
  });

  it('the dashboard hides secrets until they are asked for, and copies whole URLs', async () => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: platform.http });
    await page.goto(address());
    const { prismaUrl, postgresUrl } = platform.databases[0] ?? { prismaUrl: '', postgresUrl: '' };
    await card('main').getByText('Connect').click();
    await card('main').locator('.url').first().waitFor();
    const secret = new URL(postgresUrl).password;
    expect(await card('main').textContent()).not.toContain(secret);
    await press('Copy the Prisma URL of', 'main');
    await page.locator('#notice').filter({ hasText: 'Copied the Prisma URL' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(prismaUrl);
    await press('Show the Postgres URL of', 'main');
    await card('main').getByText(postgresUrl).waitFor();
    expect(complaints).toEqual([]);
  });

  it('the dashboard asks for the token when it has none or a wrong one, and works once it has the right one', async () => {
    await page.goto(address('wrong'));
    await page.locator('#sign-in-error').filter({ hasText: 'admin token' }).waitFor();
    expect(page.url()).toBe(`${platform.http}/dashboard/`);
    expect(await page.locator('.card').count()).toBe(0);
    await page.getByLabel('Admin token').fill(platform.adminToken);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await card('main').waitFor();

    // The printed address, opened in a tab that already shows the page, changes the fragment only.
    await context.clearCookies();
    await page.reload();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.goto(address());
    await card('main').waitFor();
    expect(page.url()).toBe(`${platform.http}/dashboard/`);
  });

  it('the dashboard runs no inline script and cannot be framed by another site', async () => {
    const reply = await page.goto(address());
    const policy = reply?.headers()['content-security-policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    await live();
    await page.evaluate(`
      const script = document.createElement('script');
      script.textContent = 'globalThis.ran = true';
      document.body.append(script);
    `);
    expect(await page.evaluate('globalThis.ran === undefined')).toBe(true);
    expect(complaints.join()).toContain('Content Security Policy');
  });

  it('the dashboard reconnects by itself after the platform was gone', async () => {
    await page.goto(address());
    await live();
    await platform.terminate();
    await page.locator('#link').filter({ hasText: 'Connection lost' }).waitFor();
    await platform.start();
    await live();
    await card('main').waitFor();
    await platform.json('db', 'wake', 'main');
    await shows('main', 'running');
    expect(await page.locator('#link').textContent()).toContain('Live');
  });

  it('the dashboard is usable with a screen reader, in dark mode, and on a phone', async () => {
    await context.close();
    context = await browser.newContext({ colorScheme: 'dark', viewport: { width: 360, height: 740 } });
    page = await context.newPage();
    await page.goto(address());
    await card('main').waitFor();
    expect(await page.title()).toBe('Dormouse');
    await page.getByRole('heading', { level: 1, name: 'Dormouse' }).waitFor();
    await page.getByRole('heading', { level: 3, name: 'main' }).waitFor();
    await card('main').getByText('Connect').click();
    await card('main').locator('.url').first().waitFor();
    const unnamed = await page.evaluate(`[...document.querySelectorAll('button, input')]
      .filter((node) => node.checkVisibility())
      .filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.[0]?.textContent.trim())).length`);
    expect(unnamed).toBe(0);
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(23, 21, 17)');
  });
});
