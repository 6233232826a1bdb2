/**
 * Owns: the messages of the replication protocol, and the text that `test_decoding` writes.
 * Never: keeps a position in the WAL.
 */
export {
  decodeReplicationMessage,
  encodeStandbyStatus,
  formatLsn,
  type Keepalive,
  type Lsn,
  parseLsn,
  postgresTimeToMs,
  type ReplicationMessage,
  type StandbyStatus,
  type XLogData,
} from './replication.ts';
export {
  BEYOND,
  type DecodedBegin,
  type DecodedChange,
  type DecodedColumn,
  type DecodedCommit,
  type DecodedMessage,
  type DecodedOther,
  type DecodedTable,
  type DecodedTruncate,
  type DecodedTuple,
  TestDecodingReader,
  type TupleValue,
} from './test-decoding.ts';
