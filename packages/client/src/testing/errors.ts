/** The error of test databases: the platform has refused a request, or could not be asked. */
export class DormouseTestingError extends Error {
  override readonly name = 'DormouseTestingError';
  /** The platform's code (`name_taken`, `disk_full`, …), or `unreachable`, `usage`, `migration`. */
  readonly code: string;
  /** HTTP status, or 0 if none was received. */
  readonly status: number;

  constructor(code: string, message: string, status = 0, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.status = status;
  }
}
