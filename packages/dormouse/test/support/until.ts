/** Calls `condition` repeatedly until it gives a value that is neither false nor undefined, and gives that value. */
export async function until<T>(
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  { what, withinMs = 90_000 }: { readonly what: string; readonly withinMs?: number },
): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    if (performance.now() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
