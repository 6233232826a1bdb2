/**
 * Databases that an owner makes are copies of template1, and a statement may name its locale. Where the machine has the
 * locale C.UTF-8, which tools ask for, template1 gets it; texts are compared by the built-in provider either way. The
 * main database depends on no locale of the machine.
 */
export const TEMPLATE1_SQL = `UPDATE pg_catalog.pg_database SET datcollate = 'C.UTF-8', datctype = 'C.UTF-8' WHERE datname = 'template1' AND datlocprovider = 'b' AND datcollate = 'C' AND EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'c' AND collcollate IN ('C.utf8', 'C.UTF-8'));`;
/** The major version that introduced the built-in provider. */
export const TEMPLATE1_SINCE = 17;
