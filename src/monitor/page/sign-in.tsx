import { keepToken } from './session.js';

/** Asks for a token. @param refusal why the last one was refused. */
export function SignIn({ refusal, onToken }: { refusal: string | undefined; onToken: () => void }) {
  return (
    <main class="sign-in card">
      <h1>Monitor</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const token = String(new FormData(event.currentTarget).get('token') ?? '').trim();
          if (!token) return;
          keepToken(token);
          onToken();
        }}
      >
        <label for="token">Token mit dem Recht monitor</label>
        <input id="token" name="token" type="password" autocomplete="off" required />
        {refusal && (
          <p class="fail" role="alert">
            Der Server lehnt ab: {refusal}
          </p>
        )}
        <p class="soft">
          <code>pg-change-feed token --sub NAME --monitor</code> macht eines. Es bleibt in diesem Tab.
        </p>
        <button type="submit" class="primary">
          Anmelden
        </button>
      </form>
    </main>
  );
}
