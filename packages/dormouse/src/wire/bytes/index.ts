/**
 * Owns: reading and writing bytes in network order, and cutting a stream of bytes into frames with a bound.
 * Never: knows what a message means.
 */
export { ByteReader } from './byte-reader.ts';
export { ByteWriter } from './byte-writer.ts';
export { FrameReader, type FrameReaderOptions } from './frame-reader.ts';
export { FrameScanner, type FrameScannerOptions } from './frame-scanner.ts';
export { ProtocolError } from './protocol-error.ts';
