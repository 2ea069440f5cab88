// Of clients as people have them: npm ci in this folder, then
//   AC_BINARY=build/release/runtime/cli/agentcompress node --test tests/clients/*_test.mjs
//
// Two servers for clients to talk to: one alone, and one with a remote that only pretends to be a model.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

// What the caller's environment says (keys, addresses, tracing) is not for these clients.
for (const name of Object.keys(process.env)) {
  if (/^(OPENAI|LANGCHAIN|LANGSMITH|LLAMA|AI_SDK)_/.test(name)) delete process.env[name];
}

const kModelFile = fileURLToPath(
  new URL('../../../shared/data/models/stories260K.gguf', import.meta.url));
export const kModel = 'stories260K';
export const kPrompt = 'Once upon a time';
// The stub goes on answering this one until somebody hangs up.
export const kSlow = 'Count slowly.';
// And of this one it says two words before its connection breaks.
export const kBroken = 'Break off.';
export const kAtOnce = 3000;  // ms; nothing here takes a tenth of it, and kSlow never ends

// Why tests with these packages cannot run; false where they can. An option of tests.
export function skipWithout(...packages) {
  if (Number.parseInt(process.versions.node, 10) < 20) return 'the clients want Node 20';
  const binary = process.env.AC_BINARY;
  if (!binary) return 'AC_BINARY does not name the agentcompress to test';
  if (!fs.existsSync(binary)) return `there is no ${binary} (AC_BINARY)`;
  if (!fs.existsSync(kModelFile)) return 'there is no ../shared/data/models/stories260K.gguf';
  for (const name of packages) {
    try {
      import.meta.resolve(name);
    } catch {
      return `${name} is not installed: run npm ci in tests/clients`;
    }
  }
  return false;
}

// A remote that has a function called with every city of the prompt (after a word, where it is asked
// politely), repeats what functions gave, and greets otherwise.
async function startStub() {
  const asked = [];
  let left = 0;
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const body = JSON.parse(text);
    asked.push(body);
    assert.equal(body.stream, true);  // serve asks for nothing else
    const send = (data) => response.write(`data: ${data}\n\n`);
    const chunk = (delta, finish_reason = null) => send(JSON.stringify({
      id: 'c', object: 'chat.completion.chunk', created: 1, model: 'stub-model',
      choices: [{ index: 0, delta, finish_reason }],
    }));
    response.on('close', () => { if (!response.writableFinished) ++left; });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    chunk({ role: 'assistant', content: null });
    const last = body.messages.at(-1);
    while (last.content === kSlow && !response.destroyed) {
      chunk({ content: 'tick ' });
      await sleep(20);
    }
    if (last.content === kBroken) {
      chunk({ content: 'Not' });
      chunk({ content: ' all' });
      await sleep(20);
      response.destroy();
      return;
    }
    const cities = body.tools && last.role === 'user' ? last.content.match(/Oslo|Rome/g) ?? [] : [];
    if (last.role === 'tool') {
      const results = body.messages.filter((message) => message.role === 'tool');
      chunk({ content: `It said ${results.map((message) => message.content).join(' and ')}.` });
    } else if (cities.length === 0) {
      chunk({ content: 'Hello' });
      chunk({ content: ' there.' });
    }
    if (cities.length > 0 && last.content.startsWith('Please')) chunk({ content: 'Sure.' });
    cities.forEach((city, index) => {
      const { name } = body.tools[0].function;
      const call = (more) => chunk({ tool_calls: [{ index, ...more }] });
      call({ id: `call_${city}`, type: 'function', function: { name, arguments: '' } });
      for (const piece of [`{"city":"${city}"`, ',"days"', ':2}']) {
        call({ function: { arguments: piece } });
      }
    });
    chunk({}, cities.length > 0 ? 'tool_calls' : 'stop');
    send(JSON.stringify({
      id: 'c', object: 'chat.completion.chunk', created: 1, model: 'stub-model', choices: [],
      usage: { prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 },
    }));
    send('[DONE]');
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    asked,  // bodies
    // How often somebody hung up before the end.
    left: () => left,
    close: () => { server.closeAllConnections(); server.close(); },
  };
}

// Runs a command until stdin closes, which it does however this process ends.
const kTied = 'exec 3<&0; "$@" & server=$!; { cat <&3; kill $server; } & wait $server';

async function startServer(...more) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'ac_clients_'));
  const env = {
    HOME: home, PATH: '/usr/bin:/bin', LANG: 'C.UTF-8',
    // An idle server would ask the stub what it thinks of past answers.
    AGENTCOMPRESS_ROUTE_LEARN: 'no',
  };
  for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'AC_FORCE_ISA']) {
    if (process.env[name]) env[name] = process.env[name];
  }
  const child = spawn('/bin/sh',
    ['-c', kTied, 'sh', path.resolve(process.env.AC_BINARY), 'serve', '--model', kModelFile,
      '--server-port', '0', ...more],
    { cwd: home, env, stdio: ['pipe', 'ignore', 'pipe'] });
  let said = '';
  const gone = new Promise((done) => child.on('exit', done));
  gone.then(() => {
    child.stdin.end();
    fs.rmSync(home, { recursive: true });
  });
  const url = await new Promise((good, bad) => {
    child.stderr.on('data', (piece) => {
      said += piece;
      const ready = /^(\S+) is ready/m.exec(said);
      if (ready) good(ready[1]);
    });
    gone.then((code) => bad(new Error(`serve ended with ${code}: ${said}`)));
  });
  return {
    url,
    stop: async () => {
      child.stdin.end();
      assert.equal(await gone, 0, said);
    },
  };
}

// `alone`: the URL of a server with kModel and nothing else. `both`: of one that has `stub` as its remote.
export async function startServers() {
  const stub = await startStub();
  const started = await Promise.allSettled([
    // Longer than it was trained for: functions take words to describe.
    startServer('--context', '256'), startServer('--remote-url', stub.url, '--remote-model', 'stub-model')]);
  const stop = async () => {
    stub.close();  // first, or a server would wait for it
    await Promise.all(started.map((one) => one.value?.stop()));
  };
  const failed = started.find((one) => one.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const [alone, both] = started.map((one) => one.value.url);
  return { alone, both, stub, stop };
}

// What a client should make of an answer is what is in it for somebody who has no client.
export async function post(url, body, { signal } = {}) {
  const response = await fetch(url, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'auto', ...body }),
  });
  assert.equal(response.status, 200);
  return response.json();
}

// The first tokens after kPrompt: temperature is 0, so there is one right answer.
export const story = async (url, max_tokens, more) => (await post(`${url}/chat/completions`, {
  max_tokens, messages: [{ role: 'user', content: kPrompt }],
}, more)).choices[0].message.content;

// A fetch that keeps what went over the wire: [{path, body, text}], text a promise.
export function recorder() {
  const seen = [];
  const ask = async (input, init) => {
    const response = await fetch(input, init);
    seen.push({
      path: new URL(input).pathname,
      body: init.body && JSON.parse(init.body),
      text: response.clone().text(),
    });
    return response;
  };
  return { seen, fetch: ask };
}

// Array.fromAsync of newer versions of Node.
export async function all(stream) {
  const list = [];
  for await (const one of stream) list.push(one);
  return list;
}

export const count = (text, part) => text.split(part).length - 1;

// `hang_up` has a client ask for kSlow and leave. The server has noticed when it leaves the stub in its
// turn, and answers what comes next.
export async function assertFreeAfter(servers, hang_up) {
  const before = servers.stub.left();
  await hang_up();
  const start = performance.now();
  await story(servers.both, 1, { signal: AbortSignal.timeout(kAtOnce) });
  while (servers.stub.left() === before && performance.now() - start < kAtOnce) await sleep(5);
  assert.equal(servers.stub.left(), before + 1);
}

// Things that a small model says only when it is kept to them. Strings are short: its context is 128
// tokens.
export const bookSchema = (z) => z.object({
  title: z.string().min(1).max(12).describe('the title'),
  year: z.number().int().min(1900).max(2030),
  tags: z.array(z.enum(['old', 'new'])).min(1).max(2),
  lent: z.boolean(),
  note: z.string().max(6).nullable(),
});

export const kWeather = {
  name: 'weather',
  description: 'The weather of the next days.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
    additionalProperties: false,
  },
};
export const weatherSchema = (z) => z.object({ city: z.string(), days: z.number().int() });

// That the stub was offered the function, and then heard of its result: `cities` in the order of calls.
// OpenAI wants all calls in one message and their results behind it, and refuses anything else.
export function assertToldOfResults(stub, cities, result, said = '') {
  const [first, second] = stub.asked.slice(-2);
  assert.deepEqual(first.tools.map((tool) => tool.function.name), ['weather']);
  assert.equal(first.tools[0].function.description, kWeather.description);
  assert.deepEqual(Object.keys(first.tools[0].function.parameters.properties), ['city', 'days']);
  const told = second.messages.slice(first.messages.length);
  assert.deepEqual(told.map((message) => message.role), ['assistant', ...cities.map(() => 'tool')]);
  assert.equal(told[0].content ?? '', said);
  const calls = told[0].tool_calls;
  assert.deepEqual(calls.map((call) => [call.id, call.type, call.function.name]),
    cities.map((city) => [`call_${city}`, 'function', 'weather']));
  assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments)),
    cities.map((city) => ({ city, days: 2 })));
  assert.deepEqual(told.slice(1).map((message) => [message.tool_call_id, message.content]),
    cities.map((city) => [`call_${city}`, result(city)]));
}
