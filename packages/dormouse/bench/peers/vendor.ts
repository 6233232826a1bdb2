import { startVendorExecutor } from '../../test/support/vendor-executor.ts';
import { serveOrders } from '../peer-process.ts';

/** `@prisma/query-plan-executor` over HTTP. */
const vendor = await startVendorExecutor(process.argv[2] ?? '');
serveOrders({ port: Number(new URL(vendor.http).port) }, async () => ({}));
