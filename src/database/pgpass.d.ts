declare module 'pgpass' {
  /** Looks a password up in PGPASSFILE, or in `~/.pgpass`. */
  function pgpass(
    target: { readonly host: string; readonly port: number; readonly user: string; readonly database: string },
    found: (password: string | undefined) => void,
  ): void;
  namespace pgpass {
    /** The stream that takes warnings. */
    function warnTo(stream: NodeJS.WritableStream): unknown;
  }
  export default pgpass;
}
