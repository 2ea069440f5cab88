// LlamaIndex, whose openai package is older and has requests of its own.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  all, assertFreeAfter, assertToldOfResults, bookSchema, count, kModel, kPrompt, kSlow,
  kWeather, post, recorder, skipWithout, startServers, story, weatherSchema,
} from './server.mjs';

const skip = skipWithout('llamaindex', '@llamaindex/openai', 'zod');

describe('LlamaIndex', { skip, timeout: 60000 }, () => {
  let llamaindex, OpenAI, OpenAIEmbedding, OpenAIResponses, z, servers;
  const options = (url, { wire, ...more } = {}) => ({
    apiKey: 'none', model: 'auto', baseURL: url, maxTokens: 16, maxRetries: 0, temperature: 0,
    additionalSessionOptions: wire ? { fetch: wire.fetch } : {}, ...more });
  const messages = [{ role: 'user', content: kPrompt }];
  const weather = () => llamaindex.tool({
    name: 'weather', description: kWeather.description, parameters: weatherSchema(z),
    execute: ({ city, days }) => `${city}: ${days} dry days` });
  const result = (city) => `${city}: 2 dry days`;

  before(async () => {
    llamaindex = await import('llamaindex');
    ({ OpenAI, OpenAIEmbedding, OpenAIResponses } = await import('@llamaindex/openai'));
    ({ z } = await import('zod'));
    servers = await startServers();
  });
  after(() => servers?.stop());

  test('chat', async () => {
    const { message, raw } = await new OpenAI(options(servers.alone)).chat({ messages });
    assert.equal(message.role, 'assistant');
    assert.equal(message.content, await story(servers.alone, 16));
    assert.deepEqual(message.options, {});
    assert.equal(raw.model, kModel);
    assert.equal(raw.choices[0].finish_reason, 'length');
    assert.equal(raw.usage.completion_tokens, 16);
    assert.equal(raw.usage.total_tokens, raw.usage.prompt_tokens + 16);
  });

  test('completion', async () => {
    const llm = new OpenAI(options(servers.alone));
    assert.equal((await llm.complete({ prompt: kPrompt })).text, await story(servers.alone, 16));
  });

  test('stream', async () => {
    const wire = recorder();
    const llm = new OpenAI(options(servers.alone, { wire }));
    const chunks = await all(await llm.chat({ messages, stream: true }));
    assert.ok(chunks.length > 8);
    assert.equal(chunks.map((chunk) => chunk.delta).join(''), await story(servers.alone, 16));
    assert.equal(chunks.at(-1).raw.choices[0].finish_reason, 'length');
    assert.ok((await wire.seen[0].text).endsWith('\n\ndata: [DONE]\n\n'));
  });

  test('tools', async () => {
    const llm = new OpenAI(options(servers.both));
    const { newMessages, toolCalls } = await llm.exec(
      { messages: [{ role: 'user', content: 'Oslo or Rome?' }], tools: [weather()] });
    assert.deepEqual(toolCalls.map((call) => [call.id, call.name, call.input]),
      ['Oslo', 'Rome'].map((city) => [`call_${city}`, 'weather', { city, days: 2 }]));
    const end = await llm.exec({
      messages: [{ role: 'user', content: 'Oslo or Rome?' }, ...newMessages], tools: [weather()] });
    assert.deepEqual(end.toolCalls, []);
    assert.equal(end.newMessages[0].content, `It said ${result('Oslo')} and ${result('Rome')}.`);
    assertToldOfResults(servers.stub, ['Oslo', 'Rome'], result);
  });

  const streamedTools = async (cities) => {
    const llm = new OpenAI(options(servers.both));
    const asked = { role: 'user', content: cities.join(' or ') };
    const first = await llm.exec({ messages: [asked], tools: [weather()], stream: true });
    assert.deepEqual(await all(first.stream), []);
    assert.deepEqual(first.toolCalls.map((call) => [call.id, call.name, call.input]),
      cities.map((city) => [`call_${city}`, 'weather', { city, days: 2 }]));
    const end = await llm.exec(
      { messages: [asked, ...first.newMessages()], tools: [weather()], stream: true });
    assert.equal((await all(end.stream)).map((chunk) => chunk.delta).join(''),
      `It said ${cities.map(result).join(' and ')}.`);
    assertToldOfResults(servers.stub, cities, result);
  };
  test('tools, streamed', () => streamedTools(['Oslo']));
  // It reads one call of each piece.
  test('tools, two of them streamed',
    () => streamedTools(['Oslo', 'Rome']));

  test('JSON by a schema', async () => {
    const wire = recorder();
    const llm = new OpenAI(options(servers.alone, { wire, maxTokens: 110 }));
    const schema = bookSchema(z);
    const { message } = await llm.chat({ messages, responseFormat: schema });
    assert.equal(wire.seen[0].body.response_format.type, 'json_schema');
    const book = JSON.parse(message.content);
    assert.deepEqual(schema.strict().parse(book), book);
    const chunks = await all(await llm.chat({ messages, responseFormat: schema, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.delta).join(''), message.content);
  });

  test('JSON by a function', async () => {
    const { object } = await new OpenAI(options(servers.both)).exec(
      { messages: [{ role: 'user', content: 'Rome' }], responseFormat: weatherSchema(z) });
    assert.deepEqual(object, { city: 'Rome', days: 2 });
    assert.equal(servers.stub.asked.at(-1).tools[0].function.name, 'format_output');
  });

  test('embeddings', async () => {
    const embedding = new OpenAIEmbedding(options(servers.alone));
    const texts = ['a cat', 'a big dog'];
    const plain = await post(`${servers.alone}/embeddings`, { input: texts });
    const vectors = await embedding.getTextEmbeddings(texts);
    assert.deepEqual(vectors.map((vector) => Array.from(vector)),
      plain.data.map((one) => one.embedding));
    assert.deepEqual(Array.from(await embedding.getTextEmbedding('a cat')), plain.data[0].embedding);
  });

  // What it is for: documents are embedded, and the nearest is read to the model.
  test('an index', async () => {
    const { Document, Settings, VectorStoreIndex } = llamaindex;
    Settings.llm = new OpenAI(options(servers.both, { model: 'remote' }));
    Settings.embedModel = new OpenAIEmbedding(options(servers.both));
    const index = await VectorStoreIndex.fromDocuments(
      ['The cat sat.', 'Tim ran home.'].map((text) => new Document({ text })));
    const engine = index.asQueryEngine({ similarityTopK: 1 });
    const { message, sourceNodes } = await engine.query({ query: 'Tim ran home.' });
    assert.deepEqual(sourceNodes.map(({ node }) => node.getText()), ['Tim ran home.']);
    assert.ok(sourceNodes[0].score > 0.999);
    assert.equal(message.content, 'Hello there.');
    const heard = servers.stub.asked.at(-1).messages.at(-1).content;
    assert.equal(count(heard, 'Tim ran home.'), 2);
    assert.equal(count(heard, 'The cat sat.'), 0);
  });

  test('an unknown model', async () => {
    const wire = recorder();
    const llm = new OpenAI(options(servers.alone, { wire, model: 'nope', maxRetries: 3 }));
    await assert.rejects(llm.chat({ messages }), (error) => {
      assert.equal(error.constructor.name, 'NotFoundError');
      assert.equal(error.status, 404);
      assert.equal(error.code, 'model_not_found');
      return true;
    });
    assert.equal(wire.seen.length, 1);
    const embedding = new OpenAIEmbedding(options(servers.alone, { model: 'nope' }));
    await assert.rejects(embedding.getTextEmbedding('a'), { status: 404, code: 'model_not_found' });
  });

  // The only way to leave: there is no signal.
  test('a timeout', async () => {
    const llm = new OpenAI(options(servers.both, { model: 'remote', timeout: 200 }));
    await assertFreeAfter(servers, () => assert.rejects(
      llm.chat({ messages: [{ role: 'user', content: kSlow }] }),
      (error) => error.constructor.name === 'APIConnectionTimeoutError'));
  });

  test('responses', async () => {
    const llm = new OpenAIResponses(options(servers.alone, { maxOutputTokens: 16 }));
    const { message, raw } = await llm.chat({ messages });
    assert.equal(raw.object, 'response');
    assert.equal(message.content, await story(servers.alone, 16));
    assert.equal(raw.usage.output_tokens, 16);
    const chunks = await all(await llm.chat({ messages, stream: true }));
    assert.ok(chunks.length > 8);
    assert.ok(chunks.map((chunk) => chunk.delta).join('').startsWith(message.content));
  });

  const loop = async (cities) => {
    const llm = new OpenAIResponses(options(servers.both));
    const asked = { role: 'user', content: cities.join(' or ') };
    const { newMessages, toolCalls } = await llm.exec({ messages: [asked], tools: [weather()] });
    assert.deepEqual(toolCalls.map((call) => [call.id, call.input]),
      cities.map((city) => [`call_${city}`, { city, days: 2 }]));
    const end = await llm.exec({ messages: [asked, ...newMessages], tools: [weather()] });
    assert.equal(end.newMessages[0].content, `It said ${cities.map(result).join(' and ')}.`);
    assertToldOfResults(servers.stub, cities, result);
  };
  test('responses with tools', () => loop(['Oslo']));
  test('responses with two calls', () => loop(['Oslo', 'Rome']));
});
