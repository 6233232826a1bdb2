/**
 * Owns: the control API over HTTP: admission by token, routes, and the stream of changes.
 * Never: decides what an operation does.
 */
export { Admission, type AdmissionOptions } from './admission.ts';
export { type ApiOptions, apiError, createApi } from './api.ts';
export { type ApiEventsOptions, createApiEvents } from './api-events.ts';
