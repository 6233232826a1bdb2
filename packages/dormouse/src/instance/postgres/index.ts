/**
 * Owns: PostgreSQL as a program and as files: builds, extensions, settings, the template, the control file, WAL, the
 *   server's log.
 * Never: starts a server, or opens a session.
 */
export type { Binaries } from './binaries.ts';
export { type Builds, checkBuilds, prepareBuilds } from './builds.ts';
export { readControlFile } from './control-file.ts';
export { logSize, logTail, openLog, rotateLog } from './server-log.ts';
export { DEFAULT_CLIENTS_MAX, SOCKET_PORT } from './settings.ts';
export { newSystemId, setSystemId } from './system-identity.ts';
export { configure, dataMajor, prepareTemplate, templateData, templateMark } from './template.ts';
export { trimWal } from './trim-wal.ts';
