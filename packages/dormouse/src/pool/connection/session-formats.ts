import type { DateFormat } from '../pool.ts';

/**
 * Settings of a session that decide how it writes values, as its server reports them. A change is reported when its
 * statement has ended.
 */
export class SessionFormats {
  #dateStyle: string;
  #timeZone: string;
  /** How dates are written, undefined for ISO. */
  dates: DateFormat | undefined;
  /** As the server calls it. */
  encoding: string;

  constructor(parameters: ReadonlyMap<string, string>) {
    this.#dateStyle = parameters.get('DateStyle') ?? 'ISO, MDY';
    this.#timeZone = parameters.get('TimeZone') ?? '';
    this.encoding = parameters.get('client_encoding') ?? 'UTF8';
    this.#settle();
  }

  /** Notes a report (ParameterStatus). */
  note(name: string, value: string): void {
    if (name === 'DateStyle') this.#dateStyle = value;
    else if (name === 'TimeZone') this.#timeZone = value;
    else if (name === 'client_encoding') this.encoding = value;
    else return;
    this.#settle();
  }

  #settle(): void {
    const [style, order] = this.#dateStyle.split(', ');
    this.dates =
      style === 'ISO'
        ? undefined
        : { order: order === 'DMY' || order === 'YMD' ? order : 'MDY', timeZone: this.#timeZone };
  }
}
