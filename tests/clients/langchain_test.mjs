// LangChain: messages, tools and runnables of its own over the openai package.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  all, assertFreeAfter, assertToldOfResults, bookSchema, count, kModel, kPrompt, kSlow,
  kWeather, post, recorder, skipWithout, startServers, story, weatherSchema,
} from './server.mjs';

const skip = skipWithout('@langchain/openai', '@langchain/core/messages', 'zod');

describe('LangChain', { skip, timeout: 60000 }, () => {
  let ChatOpenAI, OpenAIEmbeddings, messages, tool, z, servers;
  const options = (url, wire) => (
    { apiKey: 'none', model: 'auto', configuration: { baseURL: url, fetch: wire?.fetch } });
  const chat = (url, { wire, ...more } = {}) => new ChatOpenAI(
    { ...options(url, wire), maxTokens: 16, temperature: 0, ...more });
  const weather = () => tool(({ city, days }) => `${city}: ${days} dry days`, {
    name: 'weather', description: kWeather.description, schema: weatherSchema(z) });
  const kCalls = ['Oslo', 'Rome'].map((city) => (
    { name: 'weather', args: { city, days: 2 }, id: `call_${city}`, type: 'tool_call' }));
  const result = (city) => `${city}: 2 dry days`;

  before(async () => {
    ({ ChatOpenAI, OpenAIEmbeddings } = await import('@langchain/openai'));
    ({ tool } = await import('@langchain/core/tools'));
    messages = await import('@langchain/core/messages');
    ({ z } = await import('zod'));
    servers = await startServers();
  });
  after(() => servers?.stop());

  test('chat', async () => {
    const answer = await chat(servers.alone).invoke(kPrompt);
    assert.ok(answer instanceof messages.AIMessage);
    assert.equal(answer.content, await story(servers.alone, 16));
    assert.equal(answer.response_metadata.finish_reason, 'length');
    assert.equal(answer.response_metadata.model_name, kModel);
    const { input_tokens, output_tokens, total_tokens } = answer.usage_metadata;
    assert.equal(output_tokens, 16);
    assert.ok(input_tokens > 0);
    assert.equal(total_tokens, input_tokens + output_tokens);
  });

  test('chat with a history', async () => {
    const { SystemMessage, HumanMessage, AIMessage } = messages;
    const wire = recorder();
    const answer = await chat(servers.alone, { wire }).invoke(
      [new SystemMessage('Be brief.'), new HumanMessage('Hi'), new AIMessage('Hello'),
        new HumanMessage([{ type: 'text', text: kPrompt }])]);
    assert.deepEqual(wire.seen[0].body.messages.map((message) => message.role),
      ['system', 'user', 'assistant', 'user']);
    const plain = await post(`${servers.alone}/chat/completions`, { max_tokens: 16, messages: [
      { role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' }, { role: 'user', content: kPrompt }] });
    assert.equal(answer.content, plain.choices[0].message.content);
    assert.equal(answer.usage_metadata.input_tokens, plain.usage.prompt_tokens);
  });

  test('stream', async () => {
    const wire = recorder();
    const chunks = await all(await chat(servers.alone, { wire }).stream(kPrompt));
    assert.equal(wire.seen[0].body.stream_options.include_usage, true);
    assert.ok((await wire.seen[0].text).endsWith('\n\ndata: [DONE]\n\n'));
    assert.ok(chunks.filter((chunk) => chunk.content !== '').length > 8);
    const answer = chunks.reduce((sum, chunk) => sum.concat(chunk));
    assert.equal(answer.content, await story(servers.alone, 16));
    assert.equal(answer.response_metadata.finish_reason, 'length');
    assert.equal(answer.usage_metadata.output_tokens, 16);
    assert.equal(answer.usage_metadata.total_tokens, answer.usage_metadata.input_tokens + 16);
  });

  test('batch', async () => {
    const answers = await chat(servers.alone).batch([kPrompt, 'Tom had a dog', kPrompt]);
    assert.equal(answers[0].content, await story(servers.alone, 16));
    assert.equal(answers[2].content, answers[0].content);
    assert.notEqual(answers[1].content, answers[0].content);
  });

  test('tools', async () => {
    const model = chat(servers.both).bindTools([weather()]);
    const question = new messages.HumanMessage('Oslo or Rome?');
    const answer = await model.invoke([question]);
    assert.deepEqual(answer.tool_calls, kCalls);
    assert.equal(answer.response_metadata.finish_reason, 'tool_calls');
    assert.equal(answer.usage_metadata.total_tokens, 30);
    const results = await Promise.all(answer.tool_calls.map((call) => weather().invoke(call)));
    const end = await model.invoke([question, answer, ...results]);
    assert.equal(end.content, `It said ${result('Oslo')} and ${result('Rome')}.`);
    assert.deepEqual(end.tool_calls, []);
    assert.equal(end.response_metadata.finish_reason, 'stop');
    assertToldOfResults(servers.stub, ['Oslo', 'Rome'], result);
  });

  test('tools, streamed', async () => {
    const model = chat(servers.both).bindTools([weather()]);
    const question = new messages.HumanMessage('Oslo or Rome?');
    const chunks = await all(await model.stream([question]));
    const answer = chunks.reduce((sum, chunk) => sum.concat(chunk));
    assert.deepEqual(answer.tool_calls, kCalls);
    assert.deepEqual(answer.invalid_tool_calls, []);
    assert.equal(answer.response_metadata.finish_reason, 'tool_calls');
    const results = await Promise.all(answer.tool_calls.map((call) => weather().invoke(call)));
    const end = await all(await model.stream([question, answer, ...results]));
    assert.equal(end.map((chunk) => chunk.content).join(''),
      `It said ${result('Oslo')} and ${result('Rome')}.`);
    assertToldOfResults(servers.stub, ['Oslo', 'Rome'], result);
  });

  test('JSON by a schema', async () => {
    const wire = recorder();
    const schema = bookSchema(z);
    const book = await chat(servers.alone, { wire, maxTokens: 110 })
      .withStructuredOutput(schema, { name: 'book' }).invoke(kPrompt);
    assert.equal(wire.seen[0].body.response_format.type, 'json_schema');
    assert.deepEqual(schema.strict().parse(book), book);
    assert.deepEqual(book,
      JSON.parse(JSON.parse(await wire.seen[0].text).choices[0].message.content));
  });

  test('JSON by a function', async () => {
    const schema = weatherSchema(z);
    const made = await chat(servers.both)
      .withStructuredOutput(schema, { name: 'weather', method: 'functionCalling' }).invoke('Rome');
    assert.deepEqual(made, { city: 'Rome', days: 2 });
    assert.deepEqual(servers.stub.asked.at(-1).tool_choice,
      { type: 'function', function: { name: 'weather' } });
  });

  test('embeddings', async () => {
    const embeddings = new OpenAIEmbeddings(options(servers.alone));
    const texts = ['a cat', 'a big dog'];
    const vectors = await embeddings.embedDocuments(texts);
    const plain = await post(`${servers.alone}/embeddings`, { input: texts });
    assert.deepEqual(vectors.map((vector) => Array.from(vector)),
      plain.data.map((one) => one.embedding));
    assert.deepEqual(Array.from(await embeddings.embedQuery('a cat')), plain.data[0].embedding);
  });

  test('an unknown model', async () => {
    const wire = recorder();
    await assert.rejects(chat(servers.alone, { wire, model: 'nope' }).invoke(kPrompt), (error) => {
      assert.equal(error.status, 404);
      assert.equal(error.code, 'model_not_found');
      assert.equal(error.lc_error_code, 'MODEL_NOT_FOUND');
      return true;
    });
    assert.equal(wire.seen.length, 1);
    await assert.rejects(new OpenAIEmbeddings({ ...options(servers.alone), model: 'nope' }).embedQuery('a'),
      { status: 404, code: 'model_not_found' });
  });

  test('abort', async () => {
    await assertFreeAfter(servers, async () => {
      const stop = new AbortController();
      const stream = await chat(servers.both, { model: 'remote' })
        .stream(kSlow, { signal: stop.signal });
      let heard = '';
      await assert.rejects(async () => {
        for await (const chunk of stream) {
          heard += chunk.content;
          if (heard === 'tick tick ') stop.abort();
        }
      }, { name: 'AbortError' });
      assert.ok(count(heard, 'tick') < 10);
    });
  });

  test('a timeout', async () => {
    await assertFreeAfter(servers, () => assert.rejects(
      chat(servers.both, { model: 'remote', timeout: 200, maxRetries: 0 }).invoke(kSlow),
      { name: 'TimeoutError' }));
  });

  test('responses', async () => {
    const wire = recorder();
    const model = chat(servers.alone, { wire, useResponsesApi: true });
    const answer = await model.invoke(kPrompt);
    assert.equal(wire.seen[0].path, '/v1/responses');
    assert.equal(answer.text, await story(servers.alone, 16));
    assert.equal(answer.usage_metadata.output_tokens, 16);
    assert.equal(answer.response_metadata.status, 'incomplete');
    const chunks = await all(await model.stream(kPrompt));
    assert.equal(chunks.reduce((sum, chunk) => sum.concat(chunk)).text, answer.text);
  });

  const loop = async (cities, told = assertToldOfResults) => {
    const model = chat(servers.both, { useResponsesApi: true }).bindTools([weather()]);
    const question = new messages.HumanMessage(cities.join(' or '));
    for (const ask of [
      (input) => model.invoke(input),
      async (input) => (await all(await model.stream(input))).reduce((sum, chunk) => sum.concat(chunk)),
    ]) {
      const answer = await ask([question]);
      assert.deepEqual(answer.tool_calls, kCalls.slice(0, cities.length));
      const results = await Promise.all(answer.tool_calls.map((call) => weather().invoke(call)));
      const end = await ask([question, answer, ...results]);
      assert.equal(end.text, `It said ${cities.map(result).join(' and ')}.`);
      told(servers.stub, cities, result);
    }
  };
  test('responses with tools', () => loop(['Oslo', 'Rome'], () => {}));
  test('responses with tools, as the remote hears of them', () => loop(['Oslo']));
  test('responses with two calls, as the remote hears of them',
    () => loop(['Oslo', 'Rome']));

  test('responses in a conversation', async () => {
    const model = chat(servers.alone, { useResponsesApi: true });
    const { HumanMessage } = messages;
    const first = await model.invoke([new HumanMessage(kPrompt)]);
    const second = await model.invoke([new HumanMessage(kPrompt), first, new HumanMessage('And then?')]);
    assert.ok(second.usage_metadata.input_tokens > first.usage_metadata.input_tokens + 16);
    assert.ok(second.text.length > 0);
  });
});
