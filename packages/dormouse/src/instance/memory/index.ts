/**
 * Owns: how much memory all servers use together, and which server rests first when memory runs short.
 * Never: stops a server itself: it asks its controller.
 */
export { MemoryKeeper, type MemoryUse } from './memory-keeper.ts';
