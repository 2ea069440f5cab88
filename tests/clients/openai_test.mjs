// openai, which most other clients are built on.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  all, assertFreeAfter, assertToldOfResults, bookSchema, count, kBroken, kModel, kPrompt,
  kSlow, kWeather, recorder, skipWithout, startServers, story,
} from './server.mjs';

const skip = skipWithout('openai', 'zod');

describe('openai', { skip, timeout: 60000 }, () => {
  let OpenAI, z, zod, servers, alone, both;
  const client = (url, more) => new OpenAI({ baseURL: url, apiKey: 'none', ...more });
  const ask = (content, more) => ({
    model: 'auto', max_tokens: 16, messages: [{ role: 'user', content }], ...more });
  const tools = [{ type: 'function', function: kWeather }];
  const flat = [{ type: 'function', strict: true, ...kWeather }];

  before(async () => {
    ({ OpenAI } = await import('openai'));
    ({ z } = await import('zod'));
    zod = await import('openai/helpers/zod');
    servers = await startServers();
    alone = client(servers.alone);
    both = client(servers.both);
  });
  after(() => servers?.stop());

  test('chat', async () => {
    const { data, response } = await alone.chat.completions.create(ask(kPrompt)).withResponse();
    assert.equal(data.object, 'chat.completion');
    assert.match(data.id, /^chatcmpl-\w+$/);
    assert.ok(Math.abs(data.created - Date.now() / 1000) < 60, `${data.created}`);
    assert.equal(data.model, kModel);
    assert.equal(data.choices.length, 1);
    assert.equal(data.choices[0].message.role, 'assistant');
    assert.equal(data.choices[0].message.content, await story(servers.alone, 16));
    assert.equal(data.choices[0].finish_reason, 'length');
    assert.equal(data.usage.completion_tokens, 16);
    assert.ok(data.usage.prompt_tokens > 0);
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + 16);
    assert.equal(response.headers.get('x-agentcompress-route'), 'local');
    assert.equal(data.agentcompress.model, kModel);
  });

  test('chat that ends at a word', async () => {
    const { choices: [choice] } = await alone.chat.completions.create(
      ask(kPrompt, { max_tokens: 60, stop: ['Lily'] }));
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.message.content, (await story(servers.alone, 60)).split('Lily')[0]);
  });

  test('stream', async () => {
    const wire = recorder();
    const stream = await client(servers.alone, wire).chat.completions.create(
      ask(kPrompt, { stream: true, stream_options: { include_usage: true } }));
    const chunks = await all(stream);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, 16);
    assert.equal(last.usage.total_tokens, last.usage.prompt_tokens + 16);
    for (const chunk of chunks) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      assert.equal(chunk.id, last.id);
      assert.equal(chunk.usage, undefined);
      assert.equal(chunk.choices.length, 1);
    }
    const deltas = chunks.map((chunk) => chunk.choices[0].delta);
    assert.deepEqual(deltas.map((delta) => delta.role).filter(Boolean), ['assistant']);
    assert.equal(deltas[0].role, 'assistant');
    assert.equal(deltas.map((delta) => delta.content ?? '').join(''), await story(servers.alone, 16));
    assert.ok(deltas.length > 8);  // piece by piece
    const ends = chunks.map((chunk) => chunk.choices[0].finish_reason);
    assert.deepEqual(ends.filter(Boolean), ['length']);
    assert.equal(ends.at(-1), 'length');
    const text = await wire.seen[0].text;
    assert.ok(text.endsWith('\n\ndata: [DONE]\n\n'));
    assert.equal(count(text, '[DONE]'), 1);
  });

  test('stream that nobody asked to count', async () => {
    const final = alone.chat.completions.stream(ask(kPrompt));
    let heard = '';
    final.on('content', (delta) => { heard += delta; });
    const { choices, usage } = await final.finalChatCompletion();
    assert.equal(usage, undefined);
    assert.equal(choices[0].finish_reason, 'length');
    assert.equal(choices[0].message.content, heard);
    assert.equal(heard, await story(servers.alone, 16));
  });

  test('tools', async () => {
    const question = ask('Oslo or Rome?', { tools, tool_choice: 'auto' });
    const { choices: [choice], usage, model } = await both.chat.completions.create(question);
    assert.equal(model, 'stub-model');
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.content, null);
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [21, 9, 30]);
    assert.deepEqual(choice.message.tool_calls, ['Oslo', 'Rome'].map((city) => ({
      id: `call_${city}`, type: 'function',
      function: { name: 'weather', arguments: `{"city":"${city}","days":2}` },
    })));
    assert.equal(servers.stub.asked.at(-1).tool_choice, 'auto');
    const { choices: [end] } = await both.chat.completions.create({
      ...question,
      messages: [...question.messages, choice.message,
        { role: 'tool', tool_call_id: 'call_Oslo', content: 'snow' },
        { role: 'tool', tool_call_id: 'call_Rome', content: 'sun' }],
    });
    assert.equal(end.message.content, 'It said snow and sun.');
    assert.equal(end.message.tool_calls, undefined);
    assert.equal(end.finish_reason, 'stop');
    assertToldOfResults(servers.stub, ['Oslo', 'Rome'], (city) => ({ Oslo: 'snow', Rome: 'sun' })[city]);
  });

  test('tools of which one must be called', async () => {
    await both.chat.completions.create(
      ask('Oslo?', { tools, tool_choice: { type: 'function', function: { name: 'weather' } } }));
    assert.deepEqual(servers.stub.asked.at(-1).tool_choice,
      { type: 'function', function: { name: 'weather' } });
  });

  test('tools after words', async () => {
    const question = ask('Please: Oslo?', { tools });
    const whole = (await both.chat.completions.create(question)).choices[0];
    const final = (await both.chat.completions.stream(question).finalChatCompletion()).choices[0];
    for (const { finish_reason, message } of [whole, final]) {
      assert.equal(finish_reason, 'tool_calls');
      assert.equal(message.content, 'Sure.');
      assert.equal(message.tool_calls.length, 1);
      assert.equal(message.tool_calls[0].id, 'call_Oslo');
      assert.equal(message.tool_calls[0].function.arguments, '{"city":"Oslo","days":2}');
    }
    await both.chat.completions.create({ ...question, messages: [...question.messages, whole.message,
      { role: 'tool', tool_call_id: 'call_Oslo', content: 'snow' }] });
    assertToldOfResults(servers.stub, ['Oslo'], () => 'snow', 'Sure.');
  });

  // The client puts the stream together, calls the function and goes on by itself.
  test('tools, streamed', async () => {
    const called = [];
    const runner = both.chat.completions.runTools({
      ...ask('Oslo or Rome?'),
      stream: true,
      tools: [{ type: 'function', function: {
        ...kWeather, parse: JSON.parse,
        function: (input) => { called.push(input); return `${input.city} is dry`; },
      } }],
    });
    const ends = [];
    runner.on('chatCompletion', ({ choices: [choice] }) => ends.push(choice.finish_reason));
    assert.equal(await runner.finalContent(), 'It said Oslo is dry and Rome is dry.');
    assert.deepEqual(called, [{ city: 'Oslo', days: 2 }, { city: 'Rome', days: 2 }]);
    assert.deepEqual(ends, ['tool_calls', 'stop']);
    assertToldOfResults(servers.stub, ['Oslo', 'Rome'], (city) => `${city} is dry`);
  });

  // A variant that was not made for it is kept to the form of a call.
  test('tools without a remote', async () => {
    const { choices: [choice] } = await alone.chat.completions.create({
      model: 'auto', messages: [{ role: 'user', content: 'f' }], tool_choice: 'required',
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {}, additionalProperties: false } } }] });
    assert.equal(choice.finish_reason, 'tool_calls');
    const [call] = choice.message.tool_calls;
    assert.equal(call.function.name, 'f');
    assert.deepEqual(JSON.parse(call.function.arguments), {});
  });

  test('JSON by a schema', async () => {
    const wire = recorder();
    const schema = bookSchema(z);
    const { choices: [choice] } = await client(servers.alone, wire).chat.completions.parse(
      ask(kPrompt, { max_tokens: 110, response_format: zod.zodResponseFormat(schema, 'book') }));
    assert.equal(wire.seen[0].body.response_format.type, 'json_schema');
    assert.equal(choice.finish_reason, 'stop');
    assert.deepEqual(schema.strict().parse(JSON.parse(choice.message.content)), choice.message.parsed);
    const free = await story(servers.alone, 110);
    assert.throws(() => JSON.parse(free));  // it would not have said it by itself
  });

  test('JSON by a schema, streamed', async () => {
    const format = { response_format: zod.zodResponseFormat(bookSchema(z), 'book'), max_tokens: 110 };
    const streamed = await alone.chat.completions.stream(ask(kPrompt, format)).finalChatCompletion();
    const whole = await alone.chat.completions.parse(ask(kPrompt, format));
    assert.deepEqual(streamed.choices[0].message.parsed, whole.choices[0].message.parsed);
    assert.equal(typeof streamed.choices[0].message.parsed.year, 'number');
  });

  test('JSON of any kind', async () => {
    const { choices: [choice] } = await alone.chat.completions.create(
      ask(kPrompt, { max_tokens: 100, response_format: { type: 'json_object' } }));
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(typeof JSON.parse(choice.message.content), 'object');
  });

  test('a schema that cannot be kept', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string', pattern: '^(a|b)+$' } },
      required: ['a'], additionalProperties: false };
    await assert.rejects(
      alone.chat.completions.create(ask(kPrompt, {
        response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } })),
      (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.param, 'response_format');
        assert.match(error.message, /pattern/);
        return true;
      });
  });

  test('completions', async () => {
    const whole = await alone.completions.create({ model: 'auto', prompt: kPrompt, max_tokens: 8 });
    assert.equal(whole.object, 'text_completion');
    assert.equal(whole.choices[0].finish_reason, 'length');
    assert.ok(whole.choices[0].text.length > 8);
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + 8);
    const stream = await alone.completions.create(
      { model: 'auto', prompt: kPrompt, max_tokens: 8, stream: true });
    const pieces = (await all(stream)).map((chunk) => chunk.choices[0].text);
    assert.equal(pieces.join(''), whole.choices[0].text);
  });

  test('embeddings', async () => {
    const wire = recorder();
    const { data, usage, model } = await client(servers.alone, wire).embeddings.create(
      { model: 'auto', input: ['a cat', 'a big dog'] });
    assert.equal(wire.seen[0].body.encoding_format, 'base64');  // decoded by the client
    assert.equal(model, kModel);
    assert.deepEqual(data.map((one) => [one.object, one.index, one.embedding.length]),
      [['embedding', 0, 64], ['embedding', 1, 64]]);
    const plain = await alone.embeddings.create(
      { model: kModel, input: ['a cat', 'a big dog'], encoding_format: 'float' });
    assert.deepEqual(data.map((one) => Array.from(one.embedding)),
      plain.data.map((one) => one.embedding));
    assert.notDeepEqual(plain.data[0].embedding, plain.data[1].embedding);
    assert.ok(usage.prompt_tokens > 2);
    assert.equal(usage.total_tokens, usage.prompt_tokens);
  });

  test('models', async () => {
    const names = (await all(alone.models.list())).map((model) => model.id);
    assert.deepEqual(names, ['auto', 'local', 'remote', kModel]);
    const one = await alone.models.retrieve(kModel);
    assert.deepEqual([one.id, one.object], [kModel, 'model']);
    await assert.rejects(alone.models.retrieve('nope'), { status: 404, code: 'model_not_found' });
  });

  test('an unknown model', async () => {
    const wire = recorder();
    await assert.rejects(
      client(servers.alone, wire).chat.completions.create(ask(kPrompt, { model: 'nope' })),
      (error) => {
        assert.ok(error instanceof OpenAI.NotFoundError);
        assert.equal(error.status, 404);
        assert.equal(error.code, 'model_not_found');
        assert.equal(error.param, 'model');
        assert.equal(error.type, 'not_found');
        assert.match(error.message, /nope/);
        return true;
      });
    assert.equal(wire.seen.length, 1);  // not asked again
  });

  test('a request that makes no sense', async () => {
    await assert.rejects(
      alone.chat.completions.create(ask(kPrompt, { temperature: 7 })),
      (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.param, 'temperature');
        assert.equal(error.type, 'invalid_request_error');
        return true;
      });
  });

  test('abort', async () => {
    await assertFreeAfter(servers, async () => {
      const stop = new AbortController();
      const stream = await both.chat.completions.create(
        ask(kSlow, { model: 'remote', stream: true }), { signal: stop.signal });
      const heard = [];
      for await (const chunk of stream) {
        heard.push(chunk.choices[0].delta.content);
        if (heard.length === 3) stop.abort();
      }
      assert.deepEqual(heard, ['', 'tick ', 'tick ']);
    });
  });

  test('abort of an answer that is not streamed', async () => {
    await assertFreeAfter(servers, () => assert.rejects(
      both.chat.completions.create(ask(kSlow, { model: 'remote' }),
        { signal: AbortSignal.timeout(200) }),
      OpenAI.APIUserAbortError));
  });

  test('a loop that is left', async () => {
    await assertFreeAfter(servers, async () => {
      const stream = await both.responses.create({ model: 'remote', input: kSlow, stream: true });
      for await (const event of stream) if (event.type === 'response.output_text.delta') break;
    });
  });

  test('an answer that breaks off', async () => {
    const wire = recorder();
    let heard = '';
    await assert.rejects(async () => {
      const stream = await client(servers.both, wire).chat.completions.create(
        ask(kBroken, { model: 'remote', stream: true }));
      for await (const chunk of stream) heard += chunk.choices[0].delta.content;
    }, (error) => error instanceof OpenAI.APIError && error.code === 'upstream_interrupted');
    assert.equal(heard, 'Not all');
    assert.equal(wire.seen.length, 1);
    const events = await all(
      await both.responses.create({ model: 'remote', input: kBroken, stream: true }));
    assert.equal(events.at(-1).type, 'response.failed');
    assert.equal(events.at(-1).response.status, 'failed');
    assert.equal(events.at(-1).response.error.code, 'upstream_interrupted');
    await both.chat.completions.create(ask('Hello?', { model: 'remote' }));  // it is still there
  });

  test('responses', async () => {
    const answer = await alone.responses.create(
      { model: 'auto', input: kPrompt, max_output_tokens: 16 });
    assert.equal(answer.object, 'response');
    assert.match(answer.id, /^resp_\w+$/);
    assert.equal(answer.model, kModel);
    assert.equal(answer.output_text, await story(servers.alone, 16));
    assert.equal(answer.status, 'incomplete');
    assert.deepEqual(answer.incomplete_details, { reason: 'max_output_tokens' });
    assert.equal(answer.usage.output_tokens, 16);
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + 16);
  });

  test('responses, streamed', async () => {
    const whole = await alone.responses.create(
      { model: 'auto', input: kPrompt, max_output_tokens: 16 });
    const stream = await alone.responses.create(
      { model: 'auto', input: kPrompt, max_output_tokens: 16, stream: true });
    const events = await all(stream);
    const kinds = events.map((event) => event.type.replace('response.', ''));
    assert.deepEqual(kinds.filter((kind) => kind !== 'output_text.delta'), [
      'created', 'in_progress', 'output_item.added', 'content_part.added', 'output_text.done',
      'content_part.done', 'output_item.done', 'incomplete']);
    assert.ok(count(kinds.join(), 'delta') > 8);
    const text = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''));
    assert.equal(text.join(''), whole.output_text);
    const { response } = events.at(-1);
    assert.equal(response.id, events[0].response.id);
    assert.equal(response.usage.output_tokens, whole.usage.output_tokens);
    // The client's own account of the stream.
    const final = await alone.responses.stream(
      { model: 'auto', input: kPrompt, max_output_tokens: 16 }).finalResponse();
    assert.equal(final.output_text, whole.output_text);
    assert.equal(final.status, 'incomplete');
  });

  test('responses, streamed: events are numbered', async () => {
    const events = await all(await alone.responses.create(
      { model: 'auto', input: kPrompt, max_output_tokens: 4, stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  });

  // `again`: what is sent back of the output. `output`: what a function gives.
  const loop = async (cities, again, output = 'fog') => {
    const input = [{ role: 'user', content: cities.join(' or ') }];
    const answer = await both.responses.create({ model: 'auto', input, tools: flat });
    assert.equal(answer.status, 'completed');
    const calls = answer.output.filter((item) => item.type === 'function_call');
    assert.deepEqual(calls.map((call) => [call.call_id, call.name, JSON.parse(call.arguments)]),
      cities.map((city) => [`call_${city}`, 'weather', { city, days: 2 }]));
    const results = calls.map(({ call_id }) => ({ type: 'function_call_output', call_id, output }));
    const end = await both.responses.create(
      { model: 'auto', tools: flat, input: [...input, ...again(answer.output), ...results] });
    assert.equal(end.output_text, `It said ${cities.map(() => 'fog').join(' and ')}.`);
    assertToldOfResults(servers.stub, cities, () => 'fog');
  };
  const callsOf = (output) => output.filter((item) => item.type === 'function_call');

  test('responses with tools', () => loop(['Oslo'], callsOf));
  test('responses with two calls', () => loop(['Oslo', 'Rome'], callsOf));
  test('responses with tools, all of the output sent back',
    () => loop(['Oslo'], (output) => output));
  test('responses with a result in parts',
    () => loop(['Oslo'], callsOf, [{ type: 'input_text', text: 'fog' }]));

  test('responses with tools, streamed', async () => {
    const stream = both.responses.stream({ model: 'auto', input: 'Oslo or Rome?', tools: flat });
    const done = [];
    stream.on('response.function_call_arguments.done', (event) => done.push(event.arguments));
    const final = await stream.finalResponse();
    assert.deepEqual(done, ['{"city":"Oslo","days":2}', '{"city":"Rome","days":2}']);
    assert.deepEqual(
      final.output.filter((item) => item.type === 'function_call').map((item) => item.arguments), done);
    assert.equal(final.status, 'completed');
    assert.equal(final.usage.total_tokens, 30);
  });

  test('responses as JSON by a schema', async () => {
    const schema = bookSchema(z);
    const answer = await alone.responses.parse({
      model: 'auto', input: kPrompt, max_output_tokens: 110,
      text: { format: zod.zodTextFormat(schema, 'book') } });
    assert.equal(answer.status, 'completed');
    assert.deepEqual(schema.strict().parse(JSON.parse(answer.output_text)), answer.output_parsed);
    assert.equal(typeof answer.output_parsed.lent, 'boolean');
    const final = await alone.responses.stream({
      model: 'auto', input: kPrompt, max_output_tokens: 110,
      text: { format: zod.zodTextFormat(schema, 'book') } }).finalResponse();
    assert.equal(final.status, 'completed');
    assert.deepEqual(final.output_parsed, answer.output_parsed);
  });

  test('responses of an unknown model', async () => {
    await assert.rejects(alone.responses.create({ model: 'nope', input: kPrompt }),
      (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
  });
});
