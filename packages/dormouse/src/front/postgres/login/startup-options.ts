/**
 * Reads the startup parameter `options` as the server does: the text is split at white space (pg_split_opts), then read
 * as switches of the server's command line (process_postgres_switches). Some switches set a setting that has a name of
 * its own.
 */

/** Switches that take an argument. `-` is one of them: `--name=value` is the switch `-` with an argument. */
const WITH_ARGUMENT = new Set('BCcDdfhkNprStvW-');
/** Switches that are another way to write a setting. */
const SETTING_OF: Readonly<Record<string, string>> = {
  W: 'post_auth_delay',
  P: 'ignore_system_indexes',
  S: 'work_mem',
};

const SPACE = /[ \t\n\v\f\r]/;

/** A backslash takes the next character literally. */
function words(options: string): string[] {
  const found: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < options.length; at++) {
    let character = options[at] as string;
    if (SPACE.test(character)) {
      if (word !== undefined) found.push(word);
      word = undefined;
      continue;
    }
    if (character === '\\') {
      at += 1;
      character = options[at] ?? '';
    }
    word = (word ?? '') + character;
  }
  if (word !== undefined) found.push(word);
  return found;
}

/** The part before `=`, with `_` for `-`, as ParseLongOption reads it. */
function nameOf(assignment: string): string {
  const equals = assignment.indexOf('=');
  return (equals < 0 ? assignment : assignment.slice(0, equals)).replaceAll('-', '_');
}

/** The names of all settings that `options` sets, as the client wrote them. */
export function settingsOf(options: string): string[] {
  const names: string[] = [];
  const list = words(options);
  for (let at = 0; at < list.length; at++) {
    const word = list[at] as string;
    // After a lone `--` nothing is a switch; the server then refuses the whole.
    if (word === '--') break;
    if (!word.startsWith('-')) continue;
    for (let place = 1; place < word.length; place++) {
      const letter = word[place] as string;
      if (!WITH_ARGUMENT.has(letter)) {
        if (SETTING_OF[letter] !== undefined) names.push(SETTING_OF[letter]);
        continue;
      }
      const attached = word.slice(place + 1);
      if (attached === '') at += 1;
      const argument = attached === '' ? (list[at] ?? '') : attached;
      if (letter === 'c' || letter === '-') names.push(nameOf(argument));
      else if (SETTING_OF[letter] !== undefined) names.push(SETTING_OF[letter]);
      break;
    }
  }
  return names;
}
