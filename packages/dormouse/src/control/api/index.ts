/**
 * Owns: the management API over HTTP: admission by token or session, routes, and the stream of changes.
 * Never: carries out an operation itself (`Control` does).
 */
export { Admission, type AdmissionOptions } from './admission.ts';
export { type ApiOptions, apiError, createApi } from './api.ts';
export { type ApiEventsOptions, createApiEvents } from './api-events.ts';
