/**
 * Owns: vacuum, analyze and the transaction age of databases: done before a rest, and the age in rounds for databases
 *   that never rest.
 * Never: wakes a database, or keeps one from resting.
 */
export { AgeRound } from './age-round.ts';
export { Maintenance, type MaintenanceView } from './maintenance.ts';
