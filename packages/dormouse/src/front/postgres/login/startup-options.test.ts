import { describe, expect, it } from 'vitest';
import { settingsOf } from './startup-options.ts';

describe('settingsOf', () => {
  it.each<[string, string[]]>([
    ['', []],
    ['-c a=1 -cb=2 --c-d=3', ['a', 'b', 'c_d']],
    ['  -c\tA=1\n--B=2 ', ['A', 'B']],
    ['-W 5', ['post_auth_delay']],
    ['-W5', ['post_auth_delay']],
    ['-sW5 -esW 6', ['post_auth_delay', 'post_auth_delay']],
    ['-s-post-auth-delay=5', ['post_auth_delay']],
    ['word -W 5', ['post_auth_delay']],
    ['--ro\\le=writer', ['role']],
    ['-c search_path=a\\ -W\\ 5', ['search_path']],
    ['-c\\ post_auth_delay=5', [' post_auth_delay']],
    ['-c', ['']],
    ['-- -W 5', []],
    ['-d -W -W5', ['post_auth_delay']],
  ])('the startup option %j sets the settings %j', (options, names) => {
    expect(settingsOf(options)).toEqual(names);
  });
});
