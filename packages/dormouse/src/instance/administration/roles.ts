/**
 * The roles that may log in to a server: the platform's own and the tenant's three. `pg_hba.conf` admits no other role,
 * whatever roles a tenant makes. The platform's own roles use the private socket only, and no door opens a session as
 * one of them.
 */

/**
 * The platform's superuser. It works in template1, where no tenant has any object, and in a tenant's database only
 * where `server-upgrade` and `retire-objects` say why.
 */
export const SUPERUSER = 'dormouse';
/** Reads streams of WAL, for events and base backups. It has no other rights, in no database. */
export const REPLICATION_ROLE = 'dormouse_replication';
/** Runs vacuum and analyze, and ends sessions that do not end by themselves. It reads no table. */
export const MAINTENANCE_ROLE = 'dormouse_maintenance';

/** The roles that a tenant's keys map to. */
export const TENANT_ROLES: readonly string[] = ['owner', 'writer', 'reader'];

/**
 * A role of the platform's own beside the superuser, with the properties that it must have: an existing role with
 * others is not used.
 */
export interface OwnRole {
  readonly name: string;
  /** Attributes beside LOGIN. */
  readonly replication: boolean;
  /** The predefined roles that it is a member of, each with the major version that introduced the predefined role. */
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
 * From this major version on, CREATEROLE is a right over the roles that its holder has made and no others. Before, it
 * is a right over every role that is not a superuser, and so, through the predefined roles, over the files and programs
 * of the server.
 */
const CREATEROLE_SINCE = 16;

/**
 * The owner's rights beyond its own objects: to make roles for grants and policies (`createrole_self_grant` lets the
 * owner act as them), and to see what all sessions of its server do. The owner has no ADMIN option on these rights, and
 * so cannot pass them on.
 */
export function ownerRightsSql(pgMajor: number): readonly string[] {
  return [
    ...(pgMajor >= CREATEROLE_SINCE ? ['ALTER ROLE owner CREATEROLE;'] : []),
    'GRANT pg_read_all_stats, pg_stat_scan_tables TO owner;',
  ];
}

/**
 * Makes one of the platform's own roles. Without OR REPLACE and IF NOT EXISTS: the caller checks an existing role
 * first.
 */
export function createRoleSql({ name, replication, groups }: OwnRole, pgMajor: number): string {
  const member = groups.filter(([, since]) => pgMajor >= since).map(([group]) => group);
  return `CREATE ROLE ${name} LOGIN${replication ? ' REPLICATION' : ''}${member.length > 0 ? ` IN ROLE ${member.join(', ')}` : ''};`;
}
