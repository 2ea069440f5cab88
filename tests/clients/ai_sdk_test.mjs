// The AI SDK: its OpenAI provider (which asks for responses unless told otherwise) and the one for all
// that are like OpenAI.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  all, assertFreeAfter, assertToldOfResults, bookSchema, kBroken, kModel, kPrompt, kSlow,
  kWeather, post, recorder, skipWithout, startServers, story, weatherSchema,
} from './server.mjs';

const skip = skipWithout('ai', '@ai-sdk/openai', '@ai-sdk/openai-compatible', 'zod');

describe('AI SDK', { skip, timeout: 60000 }, () => {
  let ai, z, servers, createOpenAI, createOpenAICompatible;
  const openai = (url, wire) => createOpenAI({ baseURL: url, apiKey: 'none', fetch: wire?.fetch });
  const compatible = (url, wire) => createOpenAICompatible({
    name: 'agentcompress', baseURL: url, apiKey: 'none', fetch: wire?.fetch, includeUsage: true,
    supportsStructuredOutputs: true });
  const quick = (model, prompt, more) => ({ model, prompt, maxOutputTokens: 16, maxRetries: 0, ...more });
  // Errors of a stream are told to a listener and not thrown.
  const stream = (...of) => ai.streamText({ onError: ({ error }) => { throw error; }, ...quick(...of) });

  before(async () => {
    ai = await import('ai');
    ({ createOpenAI } = await import('@ai-sdk/openai'));
    ({ createOpenAICompatible } = await import('@ai-sdk/openai-compatible'));
    ({ z } = await import('zod'));
    servers = await startServers();
  });
  after(() => servers?.stop());

  for (const [name, path, of] of [
    ['responses', '/v1/responses', (...to) => (id) => openai(...to)(id)],
    ['chat', '/v1/chat/completions', (...to) => (id) => openai(...to).chat(id)],
    ['compatible', '/v1/chat/completions', (...to) => (id) => compatible(...to)(id)],
  ]) {
    const isResponses = name === 'responses';

    test(`${name}: text`, async () => {
      const wire = recorder();
      const result = await ai.generateText(quick(of(servers.alone, wire)('auto'), kPrompt));
      assert.equal(wire.seen[0].path, path);
      assert.equal(result.text, await story(servers.alone, 16));
      assert.equal(result.finishReason, 'length');
      assert.equal(result.response.modelId, kModel);
      assert.equal(result.response.headers['x-agentcompress-route'], 'local');
      assert.deepEqual(result.warnings, []);
      const { inputTokens, outputTokens, totalTokens } = result.usage;
      assert.equal(outputTokens, 16);
      assert.ok(inputTokens > 0);
      assert.equal(totalTokens, inputTokens + 16);
    });

    test(`${name}: stream`, async () => {
      const wire = recorder();
      const result = stream(of(servers.alone, wire)('auto'), kPrompt);
      const pieces = await all(result.textStream);
      assert.ok(pieces.length > 8);
      assert.equal(pieces.join(''), await story(servers.alone, 16));
      assert.equal(await result.finishReason, 'length');
      const { inputTokens, outputTokens, totalTokens } = await result.usage;
      assert.equal(outputTokens, 16);
      assert.equal(totalTokens, inputTokens + 16);
      assert.equal(wire.seen[0].path, path);
      const text = await wire.seen[0].text;
      assert.match(text, isResponses ? /\n\nevent: response\.incomplete\ndata: .*\n\n$/
        : /\n\ndata: \[DONE\]\n\n$/);
    });

    // The SDK calls the function and asks again by itself.
    const weather = (called) => ai.tool({
      description: kWeather.description, inputSchema: weatherSchema(z),
      execute: (input) => { called.push(input); return `${input.city} is dry`; } });
    for (const cities of [['Oslo'], ['Oslo', 'Rome']]) {
      const inputs = cities.map((city) => ({ city, days: 2 }));
      const end = `It said ${cities.map((city) => `${city} is dry`).join(' and ')}.`;

      test(`${name}: tools, ${cities.length}`, async () => {
        const called = [];
        const result = await ai.generateText(quick(of(servers.both)('auto'), cities.join(' or '), {
          tools: { weather: weather(called) }, stopWhen: ai.stepCountIs(3) }));
        assert.deepEqual(called, inputs);
        assert.equal(result.text, end);
        assert.deepEqual(result.steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
        assert.deepEqual(result.steps[0].toolCalls.map((call) => call.toolCallId),
          cities.map((city) => `call_${city}`));
        assert.equal(result.totalUsage.totalTokens, 60);
        assertToldOfResults(servers.stub, cities, (city) => `${city} is dry`);
      });

      test(`${name}: tools, ${cities.length}, streamed`, async () => {
        const called = [];
        const result = stream(of(servers.both)('auto'), cities.join(' or '), {
          tools: { weather: weather(called) }, stopWhen: ai.stepCountIs(3) });
        const parts = await all(result.fullStream);
        assert.deepEqual(called, inputs);
        assert.deepEqual(
          parts.filter((part) => part.type === 'tool-call').map((part) => part.input), inputs);
        const steps = await result.steps;
        assert.equal(steps[1].text, end);
        assert.deepEqual(steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
        assertToldOfResults(servers.stub, cities, (city) => `${city} is dry`);
      });
    }

    test(`${name}: tools after words`, async () => {
      const result = await ai.generateText(quick(of(servers.both)('auto'), 'Please: Oslo?', {
        tools: { weather: weather([]) }, stopWhen: ai.stepCountIs(3) }));
      assert.deepEqual(result.steps.map((step) => step.text), ['Sure.', 'It said Oslo is dry.']);
      assertToldOfResults(servers.stub, ['Oslo'], (city) => `${city} is dry`, 'Sure.');
    });

    const converse = async (providerOptions) => {
      const model = of(servers.alone)('auto');
      const ask = { role: 'user', content: kPrompt };
      const first = await ai.generateText(quick(model, undefined, { messages: [ask], providerOptions }));
      const second = await ai.generateText(quick(model, undefined, {
        providerOptions,
        messages: [ask, ...first.response.messages, { role: 'user', content: 'And then?' }] }));
      const plain = await post(`${servers.alone}/chat/completions`, { max_tokens: 16, messages: [
        ask, { role: 'assistant', content: first.text }, { role: 'user', content: 'And then?' }] });
      assert.equal(second.text, plain.choices[0].message.content);
      assert.equal(second.usage.inputTokens, plain.usage.prompt_tokens);
    };
    test(`${name}: a conversation`, () => converse());
    if (isResponses) {
      test(`${name}: a conversation that is not stored`, () => converse({ openai: { store: false } }));
    }

    test(`${name}: JSON by a schema`, async () => {
      const wire = recorder();
      const schema = bookSchema(z);
      const model = of(servers.alone, wire)('auto');
      const { output, text } = await ai.generateText(quick(model, kPrompt, {
        output: ai.Output.object({ schema }), maxOutputTokens: 110 }));
      const { body } = wire.seen[0];
      assert.equal((body.response_format ?? body.text.format).type, 'json_schema');
      assert.deepEqual(schema.strict().parse(JSON.parse(text)), output);
      assert.equal(typeof output.lent, 'boolean');
      const { object } = await ai.generateObject(quick(model, kPrompt, { schema, maxOutputTokens: 110 }));
      assert.deepEqual(object, output);
      const parts = ai.streamObject(quick(model, kPrompt, { schema, maxOutputTokens: 110 }));
      const partial = await all(parts.partialObjectStream);
      assert.ok(partial.length > 3);
      assert.deepEqual(partial.at(-1), output);
    });

    test(`${name}: an unknown model`, async () => {
      const wire = recorder();
      await assert.rejects(
        ai.generateText(quick(of(servers.alone, wire)('nope'), kPrompt, { maxRetries: 2 })),
        (error) => {
          assert.ok(ai.APICallError.isInstance(error));
          assert.equal(error.statusCode, 404);
          assert.equal(error.isRetryable, false);
          assert.equal(error.data.error.code, 'model_not_found');
          assert.match(error.message, /nope/);
          return true;
        });
      assert.equal(wire.seen.length, 1);
    });

    test(`${name}: abort`, async () => {
      await assertFreeAfter(servers, async () => {
        const stop = new AbortController();
        let n_heard = 0;
        const kinds = [];
        const result = stream(of(servers.both)('remote'), kSlow, { abortSignal: stop.signal });
        for await (const part of result.fullStream) {
          if (part.type === 'text-delta' && ++n_heard === 2) stop.abort();
          kinds.push(part.type);
        }
        assert.equal(kinds.at(-1), 'abort');
        assert.ok(n_heard < 10, `${n_heard}`);
      });
      await assertFreeAfter(servers, () => assert.rejects(
        ai.generateText(quick(of(servers.both)('remote'), kSlow, {
          abortSignal: AbortSignal.timeout(200) })),
        { name: 'TimeoutError' }));
    });

    test(`${name}: an answer that breaks off`, async () => {
      const errors = [];
      const result = stream(of(servers.both)('remote'), kBroken,
        { onError: ({ error }) => { errors.push(error); } });
      const parts = await all(result.fullStream);
      assert.equal(parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join(''), 'Not all');
      assert.equal(errors.length, 1);
      assert.match(JSON.stringify(errors[0].message ?? errors[0]), /stream cut/);
      // Another failure, with nothing that works between, would have the remote left alone for a while.
      await ai.generateText(quick(of(servers.both)('remote'), 'Hello?'));
    });
  }

  test('embeddings', async () => {
    const values = ['a cat', 'a big dog'];
    const plain = await post(`${servers.alone}/embeddings`, { input: values });
    for (const model of [openai(servers.alone).embedding('auto'),
      compatible(servers.alone).embeddingModel('auto')]) {
      const { embeddings, usage } = await ai.embedMany({ model, values });
      assert.deepEqual(embeddings, plain.data.map((one) => one.embedding));
      assert.equal(usage.tokens, plain.usage.prompt_tokens);
      const { embedding } = await ai.embed({ model, value: 'a cat' });
      assert.deepEqual(embedding, embeddings[0]);
      assert.ok(Math.abs(ai.cosineSimilarity(embedding, embeddings[0]) - 1) < 1e-6);
    }
    await assert.rejects(
      ai.embed({ model: compatible(servers.alone).embeddingModel('nope'), value: 'a' }),
      (error) => ai.APICallError.isInstance(error) && error.statusCode === 404);
  });

  test('completions', async () => {
    const model = compatible(servers.alone).completionModel('auto');
    const { text, finishReason } = await ai.generateText(quick(model, kPrompt));
    assert.ok(text.length > 8);
    assert.equal(finishReason, 'length');
  });
});
