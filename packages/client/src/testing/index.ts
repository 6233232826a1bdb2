/**
 * Owns: throw-away databases for test suites, and the templates that they are copied from.
 * Never: depends on anything; keeps state of its own: who made what is written in names and labels on the platform.
 * Limits: names of databases; left-overs live a day at most; a template of an older content a week.
 * Fails with: `DormouseTestingError`.
 */
export { createTestDatabase, type TestDatabase, type TestDatabaseOptions } from './database.ts';
export { DormouseTestingError } from './errors.ts';
export type { PlatformOptions } from './platform.ts';
export { createTestTemplate, type TemplateUrls, type TestTemplate, type TestTemplateOptions } from './template.ts';
