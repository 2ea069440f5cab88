// Easy prompts stay on this machine: a fetch for JavaScript programs, with no dependency.
//
//   import { offloadFetch } from './agentcompress.mjs';
//   new OpenAI({ fetch: offloadFetch() });
//   new ChatOpenAI({ configuration: { fetch: offloadFetch() } });
//   createOpenAI({ fetch: offloadFetch() });
//
// A running `agentcompress serve` decides. Chat requests that it would answer with a local variant go
// to it, without the caller's key; everything else goes where it was going, unchanged, and so does
// everything where the server is not there or fails.

const DROPPED = ['authorization', 'api-key', 'x-api-key', 'host', 'content-length', 'cookie',
  'openai-organization', 'openai-project'];

const defaultUrl = () =>
  globalThis.process?.env?.AGENTCOMPRESS_URL ?? 'http://127.0.0.1:8080/v1';

/**
 * Where a prompt would go: { place, variant, reason, ... }.
 * @param {string | object[]} prompt text, or a list of messages
 * @param {{url?: string, fetch?: typeof fetch, timeoutMs?: number}} [options]
 * @returns {Promise<object>} rejects where the server is not there or refuses
 */
export async function route(prompt, options = {}) {
  const { url = defaultUrl(), fetch: ask = globalThis.fetch, timeoutMs = 2000 } = options;
  const body = typeof prompt === 'string' ? { prompt } : { messages: prompt };
  const response = await ask(`${url}/route`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) throw new Error(`${url}/route: status ${response.status}`);
  return response.json();
}

// The body that the local server gets instead, and whether a rule of it keeps the request here;
// undefined: the request goes where it was going.
async function redirected(input, init, options) {
  const address = typeof input === 'string' ? input : input.url ?? String(input);
  if ((init?.method ?? 'GET').toUpperCase() !== 'POST') return undefined;
  if (!new URL(address).pathname.endsWith('/chat/completions')) return undefined;
  if (typeof init.body !== 'string') return undefined;
  const body = JSON.parse(init.body);
  const decision = await route(body.messages, options);
  const stays = Boolean(decision.must_stay);
  if (decision.place !== 'local' || (decision.degraded && !stays)) return undefined;
  if (!stays && (body.tools?.length || (body.n ?? 1) !== 1)) return undefined;
  return { body: { ...body, model: decision.variant }, stays };
}

/**
 * @param {{url?: string, fetch?: typeof fetch, timeoutMs?: number}} [options] url: of the local
 *   server, with its /v1 (AGENTCOMPRESS_URL, else its default address); fetch: what everything goes
 *   through in the end
 * @returns {typeof fetch}
 */
export function offloadFetch(options = {}) {
  const url = options.url ?? defaultUrl();
  const inner = options.fetch ?? globalThis.fetch;
  return async (input, init) => {
    let here;
    try {
      here = await redirected(input, init, { ...options, url, fetch: inner });
    } catch {
      here = undefined;
    }
    if (here !== undefined) {
      const headers = new Headers(init.headers);
      for (const name of DROPPED) headers.delete(name);
      try {
        const response = await inner(`${url}/chat/completions`,
          { ...init, headers, body: JSON.stringify(here.body) });
        if (response.ok || here.stays) return response;
      } catch (error) {
        // The caller has hung up: that is for both places.
        if (here.stays || init.signal?.aborted) throw error;
      }
    }
    return inner(input, init);
  };
}
