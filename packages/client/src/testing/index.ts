/**
 * Owns: throw-away databases for test suites, and the templates that they are copied from.
 * Never: depends on anything; keeps state of its own: names and labels on the platform say who made a database.
 * Limits: names of databases; the age of left-over test databases, a day; the age of templates of an older content, a
 *   week.
 * Fails with: `DormouseTestingError`.
 */
export { createTestDatabase, type TestDatabase, type TestDatabaseOptions } from './database.ts';
export { DormouseTestingError } from './errors.ts';
export type { PlatformOptions } from './platform.ts';
export { createTestTemplate, type TemplateUrls, type TestTemplate, type TestTemplateOptions } from './template.ts';
