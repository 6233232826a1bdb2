/**
 * Owns: sessions of the platform's own roles inside a server: those roles and their rights, the upgrade of both, the
 *   databases that Postgres reserves, and the end of a backend that does not end by itself.
 * Never: serves a tenant's statement.
 */

export { AdminBackends } from './admin-backends.ts';
export { AdminSession, NEUTRAL_DATABASE, type TextRow } from './admin-session.ts';
export { probe } from './probe.ts';
export { retireObjects } from './retire-objects.ts';
export {
  createRoleSql,
  MAINTENANCE_ROLE,
  OWN_ROLES,
  ownerRightsSql,
  REPLICATION_ROLE,
  SUPERUSER,
  TENANT_ROLES,
} from './roles.ts';
export { MAIN_DATABASE_OID_SQL, RIGHTS_FILE, upgradeServer, writeRights } from './server-upgrade.ts';
export { ensureTemplate0, RESERVE_SQL, TEMPLATE0_FILES } from './template0.ts';
export { TEMPLATE1_SQL } from './template1.ts';
