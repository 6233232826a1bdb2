/**
 * Databases that an owner makes are copies of template1, whose locale a statement may name. It has C.UTF-8 there, which
 * tools ask for, where the machine has it; texts are compared by the built-in provider either way. The main database
 * needs nothing of the machine.
 */
export const TEMPLATE1_SQL = `UPDATE pg_catalog.pg_database SET datcollate = 'C.UTF-8', datctype = 'C.UTF-8' WHERE datname = 'template1' AND datlocprovider = 'b' AND datcollate = 'C' AND EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'c' AND collcollate IN ('C.utf8', 'C.UTF-8'));`;
/** The built-in provider came with it. */
export const TEMPLATE1_SINCE = 17;
