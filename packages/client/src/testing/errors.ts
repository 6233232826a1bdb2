/** What a test database fails with: the platform's refusal, or what went wrong on the way to it. */
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
