/** The library's entry point on Node. */
export { ERROR_CODES, type ErrorCode } from './base/error-codes.ts';
export { VmError, type VmErrorOptions } from './base/errors.ts';
