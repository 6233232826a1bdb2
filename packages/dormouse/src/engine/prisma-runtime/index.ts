/**
 * Owns: the execution of plans by Prisma's own runtime: the judge of everything that no program covers.
 * Never: writes a reply, acquires a connection.
 */
export { CommentedStatements } from './commented-statements.ts';
export { ELEMENTS_MAX, guardedScope, productTooLarge } from './guarded-scope.ts';
export { checkPlan } from './plan-shape.ts';
export {
  BIND_VALUES_MAX,
  CONNECTION_INFO,
  type ExecutionOptions,
  type PlanStatements,
  PrismaRuntime,
  withinTransaction,
} from './prisma-runtime.ts';
export { clientError } from './user-errors.ts';
