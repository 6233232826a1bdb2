import { checkedTime, checkedTimetz, isoDate, isoTimestamp, isoTimestamptz } from './date-styles.ts';

/**
 * Converts dates and times between Postgres' text and the ISO 8601 that JavaScript reads. Throws P2023 for a text of
 * unknown form.
 */

const BC = ' BC';
const ZONE = /([+-])(\d{2})(?::(\d{2}))?(?::(\d{2}))?$/;

/** Converts a `date`. Years before 1 and after 9999 become expanded years; infinity stays. */
export function dateFromPostgres(text: string): string {
  const iso = isoDate(text);
  return iso.length === 10 ? iso : expandYear(iso);
}

/** Converts a `timestamp`: `2024-01-02 03:04:05.678` → `2024-01-02T03:04:05.678+00:00`. */
export function timestampFromPostgres(text: string): string {
  return instantOf(isoTimestamp(text));
}

function instantOf(text: string): string {
  if (text.charCodeAt(4) === 45 && text.charCodeAt(text.length - 1) !== 67) {
    return `${text.slice(0, 10)}T${text.slice(11)}+00:00`;
  }
  if (text.endsWith('infinity')) return text;
  return `${expandYear(text).replace(' ', 'T')}+00:00`;
}

/**
 * Converts a `timestamptz` from the session's time zone to UTC: `2024-01-02 03:04:05.6+02` →
 * `2024-01-02T01:04:05.6+00:00`.
 */
export function timestamptzFromPostgres(given: string): string {
  const text = isoTimestamptz(given);
  const plain = text.endsWith(BC) ? text.slice(0, -BC.length) : text;
  if (plain.endsWith('+00')) {
    return instantOf(plain.slice(0, -3) + (plain === text ? '' : BC));
  }
  const zone = ZONE.exec(plain);
  if (zone === null) return text;
  const [, sign, hours, minutes, seconds] = zone;
  const offsetMs =
    (sign === '-' ? -1000 : 1000) * (Number(hours) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0));
  const local = instantOf(plain.slice(0, zone.index) + (plain === text ? '' : BC));
  const fraction = /\.\d+/.exec(local)?.[0] ?? '';
  // The fraction is kept as text, because it has microseconds and Date has milliseconds.
  const instant = new Date(Date.parse(local.replace(/\.\d+/, '')) - offsetMs).toISOString();
  return `${instant.slice(0, -5)}${fraction}+00:00`;
}

/** Converts a `timetz` by removing its zone, as Prisma's own adapter does. Prisma reads a time of day as UTC. */
export function timetzFromPostgres(text: string): string {
  return checkedTimetz(text).replace(ZONE, '');
}

/** Checks a `time`, which needs no conversion. */
export function timeFromPostgres(text: string): string {
  return checkedTime(text);
}

function expandYear(text: string): string {
  if (text.endsWith('infinity')) return text;
  const before = text.endsWith(BC);
  const plain = before ? text.slice(0, -BC.length) : text;
  const dash = plain.indexOf('-');
  const year = Number(plain.slice(0, dash));
  if (!before && year <= 9999) return plain;
  // 1 BC is the year 0 of ISO 8601.
  const astronomical = before ? 1 - year : year;
  const digits = String(Math.abs(astronomical)).padStart(6, '0');
  const isoYear = astronomical === 0 ? '0000' : `${astronomical < 0 ? '-' : '+'}${digits}`;
  return isoYear + plain.slice(dash);
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}

function timeOfDay(date: Date): string {
  const ms = date.getUTCMilliseconds();
  const seconds = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())}`;
  return ms === 0 ? seconds : `${seconds}.${pad(ms, 3)}`;
}

/** The date of an instant in UTC. Years before 1 have Postgres' era BC. */
function calendarDate(date: Date): { readonly text: string; readonly era: string } {
  const year = date.getUTCFullYear();
  const written = year > 0 ? year : 1 - year;
  return {
    text: `${pad(written, 4)}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`,
    era: year > 0 ? '' : BC,
  };
}

/** Formats an instant as a parameter of type `date`. */
export function dateToPostgres(date: Date): string {
  const { text, era } = calendarDate(date);
  return text + era;
}

/** Formats an instant as a parameter of type `time` or `timetz`. */
export function timeToPostgres(date: Date): string {
  return timeOfDay(date);
}

/**
 * Formats an instant as a parameter of type `timestamp` or `timestamptz`. The text has a zone, so that a session in
 * another time zone reads the same instant. `timestamp` and `date` ignore the zone.
 */
export function timestampToPostgres(date: Date): string {
  const { text, era } = calendarDate(date);
  return `${text} ${timeOfDay(date)}+00${era}`;
}
