/**
 * Owns: the execution of plans by Prisma's own runtime, which decides everything that no program handles; the checks
 * of plans that clients send. Never: writes a reply, acquires a connection.
 */

export { clientError } from './client-error.ts';
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
