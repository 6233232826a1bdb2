import type { DateFormat } from '../../pool/index.ts';
import { quoted, unreadable } from './unreadable-text.ts';

/**
 * Converts dates and times from every DateStyle of Postgres (EncodeDateOnly and EncodeDateTime in datetime.c) to text
 * in the style ISO. The text shows which style it has. Only two questions need the session's settings: whether
 * 01/02/2024 is in January or February, and which offset the name of a time zone means. A value is refused if neither
 * the text nor the settings answer the question.
 */

const ISO_DATE = /^\d{4,}-\d\d-\d\d(?: BC)?$/;
const ISO_TIMESTAMP = /^\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: BC)?$/;
const ISO_TIMESTAMPTZ = /^\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d){0,2}(?: BC)?$/;
const TIME = /^\d\d:\d\d:\d\d(?:\.\d+)?$/;
const TIMETZ = /^\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d){0,2}$/;
const INFINITE = /^-?infinity$/;

/** `31/12/2024`, `12-31-2024`, `31.12.2024`. */
const NUMBERS = /^(\d\d)([/.-])(\d\d)\2(\d{4,})(.*)$/s;
/** `Tue Dec 31 12:00:00 2024`, `Tue 31 Dec 12:00:00 2024`. */
const NAMED =
  /^[A-Z][a-z]{2} (?:([A-Z][a-z]{2}) (\d\d)|(\d\d) ([A-Z][a-z]{2})) (\d\d:\d\d:\d\d(?:\.\d+)?) (\d{4,})(.*)$/s;
/** The part after the day: time, zone, era. */
const BEHIND = /^(?: (\d\d:\d\d:\d\d(?:\.\d+)?))?( ?[+-]\d\d(?::\d\d){0,2}| [^\s]+(?<! BC))?( BC)?$/;
const OFFSET = /^[+-]\d\d(?::\d\d){0,2}$/;
const NAMELESS = /^[+-]\d{4}$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** Time zones whose abbreviation means an offset of zero. In the zone `UTC+3`, the abbreviation UTC means another. */
const ZERO_ZONES = /^(?:Etc\/)?(?:UTC|UCT|GMT|GMT0|GMT[+-]0|Greenwich|Universal|Zulu)$/i;

/** Converts a `date`. */
export function isoDate(text: string, format?: DateFormat): string {
  if (ISO_DATE.test(text) || INFINITE.test(text)) return text;
  const parts = partsOf(text, 'date', format);
  if (parts.time !== undefined || parts.zone !== undefined) throw strange(text, 'date');
  return `${parts.day}${parts.era}`;
}

/** Converts a `timestamp`. */
export function isoTimestamp(text: string, format?: DateFormat): string {
  if (ISO_TIMESTAMP.test(text) || INFINITE.test(text)) return text;
  const { day, time, zone, era } = partsOf(text, 'timestamp', format);
  if (time === undefined || zone !== undefined) throw strange(text, 'timestamp');
  return `${day} ${time}${era}`;
}

/** Converts a `timestamptz`. */
export function isoTimestamptz(text: string, format?: DateFormat): string {
  if (ISO_TIMESTAMPTZ.test(text) || INFINITE.test(text)) return text;
  const { day, time, zone, era } = partsOf(text, 'timestamptz', format);
  if (time === undefined || zone === undefined) throw strange(text, 'timestamptz');
  if (OFFSET.test(zone)) return `${day} ${time}${zone}${era}`;
  // A zone without a name is written as its offset, without a colon.
  if (NAMELESS.test(zone)) return `${day} ${time}${zone.slice(0, 3)}:${zone.slice(3)}${era}`;
  if (format !== undefined && ZERO_ZONES.test(format.timeZone)) return `${day} ${time}+00${era}`;
  throw unreadable(
    `the timestamptz ${quoted(text)} names a time zone, but not its offset. Leave DateStyle at ISO, or TimeZone at UTC`,
  );
}

/** Checks a `time`, which has the same form in all styles. */
export function checkedTime(text: string): string {
  if (TIME.test(text)) return text;
  throw strange(text, 'time');
}

/** A `timetz`. */
export function checkedTimetz(text: string): string {
  if (TIMETZ.test(text)) return text;
  throw strange(text, 'timetz');
}

interface Parts {
  readonly day: string;
  readonly time: string | undefined;
  readonly zone: string | undefined;
  readonly era: string;
}

function partsOf(text: string, type: string, format: DateFormat | undefined): Parts {
  const numbers = NUMBERS.exec(text);
  if (numbers !== null) {
    const [, first = '', separator, second = '', year = '', rest = ''] = numbers;
    const behind = BEHIND.exec(rest);
    if (behind === null) throw strange(text, type);
    const dayFirst = separator === '.' || isDayFirst(first, second, text, type, format);
    const [day, month] = dayFirst ? [first, second] : [second, first];
    return { day: calendarDay(year, month, day, text, type), ...behindOf(behind[1], behind[2], behind[3]) };
  }
  const named = NAMED.exec(text);
  if (named === null) throw strange(text, type);
  const [, monthFirst, dayBehind, dayFirst, monthBehind, time, year = '', rest = ''] = named;
  const behind = BEHIND.exec(rest);
  const month = MONTHS.indexOf(monthFirst ?? monthBehind ?? '') + 1;
  if (behind === null || behind[1] !== undefined || month === 0) throw strange(text, type);
  const day = calendarDay(year, String(month).padStart(2, '0'), dayBehind ?? dayFirst ?? '', text, type);
  return { day, ...behindOf(time, behind[2], behind[3]) };
}

function behindOf(time: string | undefined, zone: string | undefined, era: string | undefined): Omit<Parts, 'day'> {
  return { time, zone: zone?.trim(), era: era ?? '' };
}

/**
 * Whether the day comes before the month: by their numbers if one is above 12, else by the session's DateStyle, which
 * is known if the statement did not change it.
 */
function isDayFirst(
  first: string,
  second: string,
  text: string,
  type: string,
  format: DateFormat | undefined,
): boolean {
  if (first === second || Number(first) > 12) return true;
  if (Number(second) > 12) return false;
  if (format === undefined) {
    throw unreadable(
      `the ${type} ${quoted(text)} may begin with its month or with its day, because the statement changed DateStyle. Leave DateStyle at ISO`,
    );
  }
  return format.order === 'DMY';
}

function calendarDay(year: string, month: string, day: string, text: string, type: string): string {
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > 31) throw strange(text, type);
  return `${year}-${month}-${day}`;
}

function strange(text: string, type: string): Error {
  return unreadable(`the ${type} ${quoted(text)} has an unknown form. Leave DateStyle at ISO`);
}
