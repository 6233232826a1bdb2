/**
 * Owns: vacuum, analyze and transaction age of databases, before a rest and in rounds for those that never rest.
 * Never: wakes a database, holds one awake.
 */
export { AgeRound } from './age-round.ts';
export { Maintenance, type MaintenanceView } from './maintenance.ts';
