import type { ByteWriter } from '../bytes/index.ts';
import { FrontendMessage } from './message-types.ts';

/** A parameter's value: in text format, in binary format (bytes), or NULL. */
export type ParameterValue = string | Uint8Array | null;

/** The count fields of Parse and Bind are 16 bits. */
export const BIND_VALUES_MAX = 65_535;

export function encodeQuery(writer: ByteWriter, sql: string): void {
  writer.open(FrontendMessage.Query);
  writer.cstring(sql);
  writer.close();
}

/** Parse; `types` are OIDs by position, where 0 or no entry lets Postgres infer the type. */
export function encodeParse(writer: ByteWriter, name: string, sql: string, types: readonly number[]): void {
  writer.open(FrontendMessage.Parse);
  writer.cstring(name);
  writer.cstring(sql);
  writer.int16(types.length);
  for (let i = 0; i < types.length; i++) writer.int32(types[i] ?? 0);
  writer.close();
}

/** Bind; strings go as text, bytes as binary. All results are asked for as text, or all as binary. */
export function encodeBind(
  writer: ByteWriter,
  portal: string,
  statement: string,
  values: readonly ParameterValue[],
  resultFormat: 'text' | 'binary' = 'text',
): void {
  const count = values.length;
  if (count > BIND_VALUES_MAX) throw new RangeError(`at most ${BIND_VALUES_MAX} parameters`);
  writer.open(FrontendMessage.Bind);
  writer.cstring(portal);
  writer.cstring(statement);
  let binary = false;
  for (let i = 0; i < count; i++) {
    const value = values[i];
    if (value !== null && typeof value !== 'string') {
      binary = true;
      break;
    }
  }
  if (binary) {
    writer.int16(count);
    for (let i = 0; i < count; i++) {
      const value = values[i];
      writer.int16(value !== null && typeof value !== 'string' ? 1 : 0);
    }
  } else {
    writer.int16(0);
  }
  writer.int16(count);
  for (let i = 0; i < count; i++) {
    const value = values[i] as ParameterValue;
    if (value === null) {
      writer.int32(-1);
    } else if (typeof value === 'string') {
      writer.sizedText(value);
    } else {
      writer.int32(value.length);
      writer.bytes(value);
    }
  }
  if (resultFormat === 'binary') {
    writer.int16(1);
    writer.int16(1);
  } else {
    writer.int16(0);
  }
  writer.close();
}

/** Describe of a statement ('S') or portal ('P'). */
export function encodeDescribe(writer: ByteWriter, kind: 'S' | 'P', name: string): void {
  writer.open(FrontendMessage.Describe);
  writer.byte(kind.charCodeAt(0));
  writer.cstring(name);
  writer.close();
}

/** Execute; 0 as `rowsMax` means all rows. */
export function encodeExecute(writer: ByteWriter, portal: string, rowsMax = 0): void {
  writer.open(FrontendMessage.Execute);
  writer.cstring(portal);
  writer.int32(rowsMax);
  writer.close();
}

/** Close of a statement ('S') or portal ('P'). */
export function encodeClose(writer: ByteWriter, kind: 'S' | 'P', name: string): void {
  writer.open(FrontendMessage.Close);
  writer.byte(kind.charCodeAt(0));
  writer.cstring(name);
  writer.close();
}

function encodeEmpty(writer: ByteWriter, type: number): void {
  writer.open(type);
  writer.close();
}

export function encodeSync(writer: ByteWriter): void {
  encodeEmpty(writer, FrontendMessage.Sync);
}
export function encodeFlush(writer: ByteWriter): void {
  encodeEmpty(writer, FrontendMessage.Flush);
}
export function encodeTerminate(writer: ByteWriter): void {
  encodeEmpty(writer, FrontendMessage.Terminate);
}
export function encodeCopyDone(writer: ByteWriter): void {
  encodeEmpty(writer, FrontendMessage.CopyDone);
}

/** CopyData has the same form in both directions. */
export function encodeCopyData(writer: ByteWriter, data: Uint8Array): void {
  writer.open(FrontendMessage.CopyData);
  writer.bytes(data);
  writer.close();
}

export function encodeCopyFail(writer: ByteWriter, reason: string): void {
  writer.open(FrontendMessage.CopyFail);
  writer.cstring(reason);
  writer.close();
}

export function encodePassword(writer: ByteWriter, password: string): void {
  writer.open(FrontendMessage.Password);
  writer.cstring(password);
  writer.close();
}

export function encodeSaslInitialResponse(writer: ByteWriter, mechanism: string, response: string): void {
  writer.open(FrontendMessage.Password);
  writer.cstring(mechanism);
  writer.sizedText(response);
  writer.close();
}

export function encodeSaslResponse(writer: ByteWriter, response: string): void {
  writer.open(FrontendMessage.Password);
  writer.text(response);
  writer.close();
}
