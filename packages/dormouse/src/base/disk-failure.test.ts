import { describe, expect, it } from 'vitest';
import { diskFailure } from './errors.ts';

describe('the classification of disk errors', () => {
  it.each(['ENOSPC', 'EDQUOT', 'SQLITE_FULL'])('the code %s means a full disk', (code) => {
    expect(diskFailure(code)).toBe('disk_full');
  });

  it.each(['SQLITE_CORRUPT', 'SQLITE_IOERR_WRITE', 'SQLITE_READONLY_DBMOVED', 'SQLITE_NOTADB'])(
    'the code %s means a file that SQLite cannot use',
    (code) => {
      expect(diskFailure(code)).toBe('data_unusable');
    },
  );

  it.each(['EACCES', 'SQLITE_BUSY', 'SQLITE_CONSTRAINT', '', undefined, 13])(
    'the code %s says nothing about the disk',
    (code) => {
      expect(diskFailure(code)).toBeUndefined();
    },
  );
});
