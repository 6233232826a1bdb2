import { describe, expect, it } from 'vitest';
import { diskFailure } from './errors.ts';

describe('the classification of disk errors', () => {
  it.each(['ENOSPC', 'EDQUOT', 'SQLITE_FULL'])('calls the code %s a full disk', (code) => {
    expect(diskFailure(code)).toBe('disk_full');
  });

  it.each(['SQLITE_CORRUPT', 'SQLITE_IOERR_WRITE', 'SQLITE_READONLY_DBMOVED', 'SQLITE_NOTADB'])(
    'calls the code %s a file that SQLite cannot use',
    (code) => {
      expect(diskFailure(code)).toBe('data_unusable');
    },
  );

  it.each(['EACCES', 'SQLITE_BUSY', 'SQLITE_CONSTRAINT', '', undefined, 13])('says nothing of the code %s', (code) => {
    expect(diskFailure(code)).toBeUndefined();
  });
});
