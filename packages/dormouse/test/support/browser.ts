import { existsSync } from 'node:fs';
import type { Browser } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The installed Chromium, or undefined: then browser tests are skipped, and why is printed. */
export const CHROMIUM: string | undefined = [process.env.CHROMIUM, ...PLACES].find(
  (path) => path !== undefined && existsSync(path),
);
if (CHROMIUM === undefined) {
  console.warn('skipped: the browser tests need Chromium (apt-get install chromium, or name it in CHROMIUM)');
}

/** Starts it headless; its profile is a new directory that goes with it. It talks to nobody by itself. */
export async function launchBrowser(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    ...(CHROMIUM === undefined ? {} : { executablePath: CHROMIUM }),
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
