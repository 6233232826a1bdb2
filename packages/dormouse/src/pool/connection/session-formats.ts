import { DormouseError } from '../../base/index.ts';
import { decodeParameterStatus } from '../../wire/index.ts';
import type { DateFormat } from '../pool.ts';

/** The server's name for the encoding of all texts. */
const UTF8 = 'UTF8';

/**
 * The settings of a session that decide how it writes values, as its server reports them. The server reports a change
 * when the statement that made it has ended.
 */
export class SessionFormats {
  #dateStyle: string;
  #timeZone: string;
  /** How dates are written; undefined for ISO. */
  dates: DateFormat | undefined;

  constructor(parameters: ReadonlyMap<string, string>) {
    this.#dateStyle = parameters.get('DateStyle') ?? 'ISO, MDY';
    this.#timeZone = parameters.get('TimeZone') ?? '';
    this.#settle();
  }

  /**
   * Notes a report (ParameterStatus). Gives the error that ends the session if the encoding is no longer UTF-8: values
   * and SQL texts would have another meaning. Other drivers end the session too.
   */
  note(payload: Buffer): DormouseError | undefined {
    const { name, value } = decodeParameterStatus(payload);
    if (name === 'client_encoding' && value !== UTF8) {
      const message = `The statement has run, but its session was ended: client_encoding was set to ${value}, and only ${UTF8} is spoken here.`;
      return new DormouseError('request_invalid', { message });
    }
    if (name === 'DateStyle') this.#dateStyle = value;
    else if (name === 'TimeZone') this.#timeZone = value;
    else return undefined;
    this.#settle();
    return undefined;
  }

  #settle(): void {
    const [style, order] = this.#dateStyle.split(', ');
    this.dates =
      style === 'ISO'
        ? undefined
        : { order: order === 'DMY' || order === 'YMD' ? order : 'MDY', timeZone: this.#timeZone };
  }
}
