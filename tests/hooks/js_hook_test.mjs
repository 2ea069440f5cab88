// The JavaScript hook, against a server of its own: what is easy is answered here, the rest is not.
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';

import { offloadFetch, route } from '../../runtime/hooks/js/agentcompress.mjs';

async function stub(fail = '', stays = false) {
  const asked = [];
  const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => { text += piece; });
    request.on('end', () => {
      const body = JSON.parse(text);
      asked.push({ path: request.url, headers: request.headers, body });
      const prompt = body.prompt ?? body.messages.at(-1).content;
      const answer = request.url.endsWith('/route')
        ? { place: prompt.includes('easy') ? 'local' : 'remote', variant: 'lean', degraded: stays, must_stay: stays }
        : { model: body.model };
      response.writeHead(fail && request.url.endsWith(fail) ? 500 : 200,
        { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  const url = `http://127.0.0.1:${server.address().port}/v1`;
  return { url, asked, close: () => { server.closeAllConnections(); server.close(); } };
}

// A fetch that reaches the stub and pretends to be everything else.
function upstream(url) {
  const seen = [];
  const ask = async (input, init) => {
    if (String(input).startsWith(url)) return fetch(input, init);
    seen.push({ input, init });
    return new Response('{"from":"upstream"}', { headers: { 'content-type': 'application/json' } });
  };
  return { ask, seen };
}

const kUrl = 'https://api.example/v1/chat/completions';
const post = (prompt, more = {}) => ({
  method: 'POST',
  headers: { authorization: 'Bearer secret', 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'gpt', messages: [{ role: 'user', content: prompt }], ...more }),
});

test('easy prompts are answered here, without the key', async () => {
  const here = await stub();
  const there = upstream(here.url);
  const ask = offloadFetch({ url: here.url, fetch: there.ask });
  assert.equal((await (await ask(kUrl, post('easy'))).json()).model, 'lean');
  assert.deepEqual(here.asked.map((one) => one.path), ['/v1/route', '/v1/chat/completions']);
  assert.equal(here.asked[1].headers.authorization, undefined);
  assert.equal(there.seen.length, 0);
  here.close();
});

test('what a rule keeps is answered here or not at all', async () => {
  for (const fail of ['', '/chat/completions']) {
    const here = await stub(fail, true);
    const there = upstream(here.url);
    const ask = offloadFetch({ url: here.url, fetch: there.ask });
    const response = await ask(kUrl, post('easy', { tools: [{}] }));
    assert.equal(response.status, fail ? 500 : 200);
    assert.equal(there.seen.length, 0);
    here.close();
  }
});

test('the rest goes where it went', async () => {
  const here = await stub();
  const there = upstream(here.url);
  const ask = offloadFetch({ url: here.url, fetch: there.ask });
  for (const [address, init] of [[kUrl, post('hard')],
    ['https://api.example/v1/embeddings', post('easy')],
    [kUrl, post('easy', { tools: [{}] })],
    [kUrl, { method: 'GET' }]]) {
    assert.deepEqual(await (await ask(address, init)).json(), { from: 'upstream' });
    assert.equal(there.seen.at(-1).init, init);
  }
  here.close();
});

test('a server that fails or is not there changes nothing', async () => {
  for (const fail of ['/route', '/chat/completions', 'gone']) {
    const here = await stub(fail);
    if (fail === 'gone') here.close();
    const there = upstream(here.url);
    const ask = offloadFetch({ url: here.url, fetch: there.ask });
    assert.deepEqual(await (await ask(kUrl, post('easy'))).json(), { from: 'upstream' });
    here.close();
  }
});

test('a caller that hangs up is heard', async () => {
  const here = await stub();
  const there = upstream(here.url);
  const hung = new AbortController();
  const ask = offloadFetch({
    url: here.url,
    fetch: async (input, init) => {
      if (String(input).endsWith('/chat/completions')) hung.abort();
      return there.ask(input, init);
    },
  });
  await assert.rejects(ask(kUrl, { ...post('easy'), signal: hung.signal }));
  assert.equal(there.seen.length, 0);
  here.close();
});

test('route says where', async () => {
  const here = await stub();
  assert.equal((await route('easy', { url: here.url })).place, 'local');
  assert.equal((await route([{ role: 'user', content: 'hard' }], { url: here.url })).place, 'remote');
  here.close();
});
