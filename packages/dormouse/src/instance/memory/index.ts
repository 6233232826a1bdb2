/**
 * Owns: how much memory all servers use together, and which server is stopped first when memory runs short.
 * Never: stops a server itself: it asks the server's controller.
 */
export { MemoryKeeper, type MemoryUse } from './memory-keeper.ts';
