import type { Deadline, MinimalReply } from '../../base/index.ts';
import type { SchemaStore } from '../compiler/index.ts';
import { bodyText, type RequestContent } from '../request/index.ts';

/** Keeps a schema that a client of Prisma 6 uploads. The body is the schema in base64. */
export async function uploadSchema(
  schemas: Pick<SchemaStore, 'put'>,
  schemaHash: string,
  request: RequestContent,
  deadline: Deadline,
): Promise<MinimalReply> {
  await schemas.put(schemaHash, bodyText(request.body), deadline);
  return { status: 200, headers: { 'content-type': 'text/plain' }, body: schemaHash };
}
