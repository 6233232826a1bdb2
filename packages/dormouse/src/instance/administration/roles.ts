/**
 * Who logs in to a server: our own roles, and the tenant's three. `pg_hba.conf` lets in nobody else, whatever roles a
 * tenant makes; our own reach the private socket only, and no door opens a session as one of them.
 */

/**
 * Ours only. Works in template1, where no tenant has anything, and in nobody else's database unless `server-upgrade`
 * says why.
 */
export const SUPERUSER = 'dormouse';
/** Streams of WAL: events and base backups. It may do nothing else, in no database. */
export const REPLICATION_ROLE = 'dormouse_replication';
/** Vacuum and analyze, and the end of a session that does not end by itself. It reads no table. */
export const MAINTENANCE_ROLE = 'dormouse_maintenance';

/** What keys of a tenant map to. */
export const TENANT_ROLES: readonly string[] = ['owner', 'writer', 'reader'];

/** A role of ours beside the superuser, as it must be: one that is there and is another is not used. */
export interface OwnRole {
  readonly name: string;
  /** Attributes beside LOGIN. */
  readonly replication: boolean;
  /** Predefined roles that it is a member of, with the major version that brought each. */
  readonly groups: readonly (readonly [name: string, since: number])[];
}

export const OWN_ROLES: readonly OwnRole[] = [
  { name: REPLICATION_ROLE, replication: true, groups: [] },
  {
    name: MAINTENANCE_ROLE,
    replication: false,
    groups: [
      ['pg_signal_backend', 9],
      ['pg_use_reserved_connections', 16],
      ['pg_maintain', 17],
    ],
  },
];

/**
 * From this major version on CREATEROLE is a right over the roles that one has made and no others; before, over every
 * role that is not superuser, which reaches the files and programs of the server by way of the predefined roles.
 */
const CREATEROLE_SINCE = 16;

/**
 * What the owner may beside his own objects: make roles for grants and policies (`createrole_self_grant` lets him act
 * as them), and see what all sessions of his server do. He is ADMIN of none of this, so it ends with him.
 */
export function ownerRightsSql(pgMajor: number): readonly string[] {
  return [
    ...(pgMajor >= CREATEROLE_SINCE ? ['ALTER ROLE owner CREATEROLE;'] : []),
    'GRANT pg_read_all_stats, pg_stat_scan_tables TO owner;',
  ];
}

/** Makes a role of ours. Not OR REPLACE, not IF NOT EXISTS: what is there is looked at first. */
export function createRoleSql({ name, replication, groups }: OwnRole, pgMajor: number): string {
  const member = groups.filter(([, since]) => pgMajor >= since).map(([group]) => group);
  return `CREATE ROLE ${name} LOGIN${replication ? ' REPLICATION' : ''}${member.length > 0 ? ` IN ROLE ${member.join(', ')}` : ''};`;
}
