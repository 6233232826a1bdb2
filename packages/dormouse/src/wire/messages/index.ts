/**
 * Owns: the messages of both directions, as bytes and as values, and errors with all their fields.
 * Never: keeps state between two messages.
 */
export {
  affectedRowsOf,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeDataRow,
  decodeErrorFields,
  decodeErrorResponse,
  decodeNegotiateProtocolVersion,
  decodeNotification,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
  decodeRowDescription,
  decodeSaslMechanisms,
  type FieldDescription,
  type Notification,
  type TransactionStatus,
} from './backend-decode.ts';
export {
  encodeAuthenticationOk,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeNegotiateProtocolVersion,
  encodeNoticeResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
} from './backend-encode.ts';
export { decodePassword, decodeQuery, decodeSaslInitialResponse, decodeSaslResponse } from './frontend-decode.ts';
export {
  BIND_VALUES_MAX,
  encodeBind,
  encodeClose,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeParse,
  encodePassword,
  encodeQuery,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeSync,
  encodeTerminate,
  type ParameterValue,
} from './frontend-encode.ts';
export { Authentication, BackendMessage, FrontendMessage } from './message-types.ts';
export { ERROR_FIELD_BYTES, PostgresError, type PostgresErrorFields } from './postgres-error.ts';
export {
  CANCEL_KEY_BYTES_MAX,
  decodeStartup,
  encodeCancelRequest,
  encodeGssencRequest,
  encodeSslRequest,
  encodeStartup,
  PROTOCOL_3_0,
  PROTOCOL_3_2,
  STARTUP_BYTES_MAX,
  type StartupRequest,
  startupLength,
} from './startup.ts';
