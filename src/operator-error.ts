/**
 * An error that the person who starts the program can mend: a bad setting, a port in use, a missing right.
 * The command line prints its message, one clear sentence that says what to do, without a stack, and exits with 1.
 */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
}
