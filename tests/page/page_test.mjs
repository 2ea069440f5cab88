// The server's page in a real browser, against real servers.
//
//   npm ci && AC_BINARY=.../agentcompress node --test page_test.mjs
//
// AC_BINARY       the program; AC_MODEL a small GGUF file (else stories260K from shared data)
// AC_CHROMIUM     the browser (else /usr/bin/chromium)
// AC_SCREENSHOTS  a folder for pictures of every tab, light and dark, wide and narrow
//
// Where one of these or a package is missing, the tests are skipped and say so.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const kTabs = ['Chat', 'Savings', 'Zoo', 'Router', 'Connect'];
const kPatience = 20000;

// ---- What is needed -------------------------------------------------------------------------

const require = createRequire(import.meta.url);  // unlike import, it looks into NODE_PATH too

function optional(get) {
  try {
    return get();
  } catch {
    return undefined;
  }
}

const playwright = optional(() => require('playwright-core'));
const axe = optional(() => fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
const binary = process.env.AC_BINARY ?? '';
const model = process.env.AC_MODEL ?? path.resolve(here, '../../../shared/data/models/stories260K.gguf');
const browserPath = process.env.AC_CHROMIUM ?? '/usr/bin/chromium';

function missing() {
  if (!playwright) return 'playwright-core is not installed (npm ci in tests/page)';
  if (!axe) return 'axe-core is not installed (npm ci in tests/page)';
  if (!fs.existsSync(browserPath)) return `there is no browser at ${browserPath}`;
  if (!fs.existsSync(binary)) return 'AC_BINARY does not name the program';
  if (!fs.existsSync(model)) return `there is no model at ${model}`;
  return false;
}
const skip = missing();

// ---- Servers --------------------------------------------------------------------------------

let folder;            // of everything that is written
const running = [];    // processes

// Starts the program with an ini of its own and no file of this user. { url, kill }
async function serve(name, ini) {
  const config = path.join(folder, `${name}.ini`);
  fs.writeFileSync(config, `version = 1\n${ini}`);
  const home = path.join(folder, name);
  fs.mkdirSync(home);
  const child = spawn(binary, ['serve', '--model', model, '--server-port', '0', '--config', config], {
    cwd: home,
    env: { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: `${home}/config`, XDG_STATE_HOME: `${home}/state`, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.push(child);
  const url = await new Promise((done, fail) => {
    let text = '';
    child.stderr.on('data', (piece) => {
      text += piece;
      const ready = text.match(/^(http:\S+)\/v1 is ready/m);
      if (ready) done(ready[1]);
    });
    child.on('exit', () => fail(new Error(`the server '${name}' ended: ${text}`)));
  });
  return { url, kill: () => child.kill('SIGKILL') };
}

// A full model that writes a word every tenth of a second, or repeats at once what follows "Echo".
// `left` counts the clients that did not wait for the end.
async function slowRemote() {
  const it = { left: 0 };
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    if (!request.url.endsWith('/chat/completions')) return response.end('{"object":"list","data":[{"id":"slow"}]}');
    let ended = false;
    response.on('close', () => { it.left += ended ? 0 : 1; });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const write = (delta, finish = null) => response.write(`data: ${JSON.stringify({
      id: 'c', object: 'chat.completion.chunk', created: 1, model: 'slow', choices: [{ index: 0, delta, finish_reason: finish }],
    })}\n\n`);
    write({ role: 'assistant', content: '' });
    const prompt = JSON.parse(body).messages.at(-1).content;
    const words = prompt.startsWith('Echo ') ? [prompt.slice(5)] : Array.from({ length: 300 }, (_, i) => `word${i} `);
    for (const word of words) {
      if (response.destroyed) return;
      write({ content: word });
      if (words.length > 1) await new Promise((done) => { setTimeout(done, 100); });
    }
    write({}, 'stop');
    ended = true;
    response.end('data: [DONE]\n\n');
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  it.url = `http://127.0.0.1:${server.address().port}`;
  it.close = () => { server.closeAllConnections(); server.close(); };
  return it;
}

const iniWith = (remoteUrl, targetSuccess, learn) => `
[generate]
max_tokens = 48
[route]
target_success = ${targetSuccess}
learn = ${learn}
[remote]
url = ${remoteUrl}/v1
model = auto
usd_per_million_prompt_tokens = 1
usd_per_million_completion_tokens = 4
`;

let browser, slow, easy, strict;

before(async () => {
  if (skip) return;
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ac_page_'));
  const remote = await serve('remote', '[generate]\nmax_tokens = 48\n');
  slow = await slowRemote();
  easy = await serve('easy', iniWith(remote.url, 0.5, 'yes'));  // its gate keeps everything
  // Its gate sends everything away. It does not learn: whoever left the slow remote was the page.
  strict = await serve('strict', iniWith(slow.url, 0.9999, 'no'));
  browser = await playwright.chromium.launch({ executablePath: browserPath, args: ['--no-sandbox', '--disable-gpu'] });
});

after(async () => {
  await browser?.close();
  for (const child of running) child.kill('SIGKILL');
  slow?.close();
  if (folder) fs.rmSync(folder, { recursive: true, force: true });
});

// ---- What a reader does ---------------------------------------------------------------------

// problems: what the browser's console calls errors; asked: every address; opened: the first response.
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 860 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(kPatience);
  page.problems = [];
  page.asked = [];
  page.on('console', (message) => { if (message.type() === 'error') page.problems.push(message.text()); });
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('request', (request) => page.asked.push(request.url()));
  page.opened = await page.goto(`${url}/`);
  await page.locator('#chips .chip').first().waitFor();
  return page;
}

const close = (page) => page.context().close();
const tab = (page, name) => page.getByRole('tab', { name });
const press = (page, name) => page.getByRole('button', { name, exact: true }).last().click();

async function ask(page, prompt) {
  await page.getByLabel('Prompt', { exact: true }).fill(prompt);
  await page.keyboard.press('Enter');
}

// The text of the badge under the last answer, once there are `n` of them.
async function badge(page, n = 1) {
  const badges = page.locator('#log .badge');
  await badges.nth(n - 1).waitFor();
  return badges.nth(n - 1).textContent();
}

// ---- Tests ----------------------------------------------------------------------------------

test('loads without an error and asks nobody else', { skip }, async () => {
  const page = await open(easy.url);
  const policy = page.opened.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'sha256-/);
  assert.doesNotMatch(policy, /unsafe/);
  for (const name of kTabs) {
    await tab(page, name).click();
    await page.waitForLoadState('networkidle');
  }
  assert.deepEqual(page.problems, []);
  assert.deepEqual(page.asked.filter((url) => !url.startsWith(`${easy.url}/`) && !url.startsWith('data:')), []);
  await close(page);
});

test('answers here, says so and why; the remote can be asked as well', { skip }, async () => {
  const page = await open(easy.url);
  await ask(page, 'Once upon a time');
  assert.match(await badge(page), /^Answered locally by \S+ · \$0\.0000 · [\d.]+ s$/);
  await page.locator('#announcer').filter({ hasText: 'Answered locally' }).waitFor({ state: 'attached' });
  await press(page, 'Why?');
  await page.locator('.why svg').first().waitFor();
  await press(page, 'Good');
  await page.locator('.judged').waitFor();
  await press(page, 'Ask remote instead');
  assert.match(await badge(page, 2), /^Answered remotely by \S+ · \$0\.\d{4} · [\d.]+ s$/);
  assert.equal(await page.locator('.turn').count(), 1);
  assert.equal(await page.getByRole('button', { name: 'Ask local instead' }).count(), 1);
  // An answer that was cut teaches nothing: the server says so with a 404, and the page in words.
  assert.deepEqual(page.problems.filter((problem) => !problem.includes('404')), []);
  await close(page);
});

test('the chat can be taken along and begun anew', { skip }, async () => {
  const page = await open(easy.url);
  await ask(page, 'Lily had a red ball');
  await badge(page);
  const read = async (button) => {
    const [download] = await Promise.all([page.waitForEvent('download'), press(page, button)]);
    return fs.readFileSync(await download.path(), 'utf8');
  };
  assert.match(await read('Export Markdown'), /Lily had a red ball[^]*\*Answered locally by /);
  const json = JSON.parse(await read('Export JSON'));
  assert.equal(json.turns[0].question, 'Lily had a red ball');
  assert.equal(json.turns[0].answers[0].receipt.route, 'local');
  await press(page, 'New chat');
  assert.equal(await page.locator('.turn').count(), 0);
  await page.locator('.welcome').waitFor();
  await close(page);
});

test('offline only keeps an answer here that would go to the remote', { skip }, async () => {
  const page = await open(strict.url);
  const offline = page.getByRole('switch', { name: 'Offline only' });
  assert.equal(await offline.getAttribute('aria-checked'), 'false');
  await offline.click();
  await page.locator('[role="switch"][aria-checked="true"]').waitFor();
  await ask(page, 'Once upon a time');
  assert.match(await badge(page), /^Answered locally/);
  await page.getByText(/^Degraded/).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Ask remote instead' }).isDisabled(), true);
  await page.reload();
  await page.locator('[role="switch"][aria-checked="true"]').click();
  await page.locator('[role="switch"][aria-checked="false"]').waitFor();
  await close(page);
});

test('what looks like HTML is shown as text, Markdown as Markdown', { skip }, async () => {
  const page = await open(strict.url);
  const evil = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>';
  await ask(page, `Echo ${evil} **bold** and \`code\`\n\n- one\n- two\n\n\`\`\`html\n${evil}\n\`\`\``);
  assert.match(await badge(page), /^Answered remotely/);
  assert.ok((await page.locator('.question').textContent()).includes(evil));
  assert.ok((await page.locator('.answer .md > p').textContent()).includes(evil));
  assert.ok((await page.locator('.answer pre').textContent()).includes(evil));
  assert.equal(await page.locator('.answer strong').textContent(), 'bold');
  assert.equal(await page.locator('.answer li').count(), 2);
  assert.equal(await page.locator('#log img, #log script').count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(page.problems, []);
  await close(page);
});

test('Stop ends an answer, and the remote notices', { skip }, async () => {
  const page = await open(strict.url);
  const before = slow.left;
  await ask(page, 'Go on and on');
  await page.getByText(/word3/).waitFor();
  await press(page, 'Stop');
  await page.getByText('Stopped. What came until then is kept.', { exact: true }).waitFor();
  assert.match(await page.locator('.answer .md').textContent(), /^word0 word1/);
  for (let i = 0; slow.left === before && i < 100; ++i) await page.waitForTimeout(100);
  assert.equal(slow.left, before + 1);
  await page.getByRole('button', { name: 'Send' }).waitFor();
  await close(page);
});

test('the slider is moved by keys and changes the line for the ini', { skip }, async () => {
  const page = await open(easy.url);
  await tab(page, 'Router').click();
  const slider = page.getByRole('slider');
  const ini = page.locator('#ini code');
  await ini.waitFor();
  const line = async () => (await ini.textContent()).split('\n').at(-1);
  const [name, first] = (await line()).split(' = ');
  assert.equal(name, 'target_success');
  await slider.focus();
  for (let i = 0; i < 3; ++i) await page.keyboard.press('ArrowRight');
  assert.equal(await line(), `${name} = ${(Number(first) + 0.003).toFixed(3)}`);
  await page.keyboard.press('End');
  assert.equal(await line(), `${name} = 0.990`);
  assert.match(await slider.getAttribute('aria-valuetext'), /^99\.0 %: .* stay here/);
  await close(page);
});

test('a prompt can be tried without running it', { skip }, async () => {
  const page = await open(easy.url);
  await tab(page, 'Router').click();
  await page.getByLabel('Where would a prompt go?').fill('Once upon a time');
  await press(page, 'Decide');
  await page.getByText(/^Would be answered here by/).waitFor();
  await page.locator('#try-result svg').first().waitFor();
  await close(page);
});

test('arrow keys go from tab to tab', { skip }, async () => {
  const page = await open(easy.url);
  const chosen = () => page.locator('[role="tab"][aria-selected="true"]').textContent();
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await tab(page, 'Chat').focus();
  for (const [key, name] of [['ArrowRight', 'Savings'], ['ArrowRight', 'Zoo'], ['Home', 'Chat'], ['ArrowLeft', 'Connect'], ['ArrowRight', 'Chat'], ['End', 'Connect']]) {
    await page.keyboard.press(key);
    assert.equal(await chosen(), name);
    assert.equal(await focused(), name);
    assert.equal(await page.getByRole('tabpanel').count(), 1);
  }
  await close(page);
});

test('a reload keeps the tab and the chat', { skip }, async () => {
  const page = await open(easy.url);
  await ask(page, 'The cat sat');
  const text = await badge(page);
  await tab(page, 'Zoo').click();
  await page.reload();
  await page.locator('[role="tab"][aria-selected="true"]', { hasText: 'Zoo' }).waitFor();
  await page.locator('.variants li').first().waitFor();
  await tab(page, 'Chat').click();
  assert.equal(await badge(page), text);
  await close(page);
});

test('the connection is tried, and every client gets this address', { skip }, async () => {
  const page = await open(easy.url);
  await tab(page, 'Connect').click();
  await press(page, 'Test');
  await page.getByText(/^It works\. Answered/).waitFor();
  const clients = page.getByRole('radio');
  assert.ok(await clients.count() >= 11);
  for (let i = 0; i < await clients.count(); ++i) {
    await clients.nth(i).check();
    assert.ok((await page.locator('#snippet code').textContent()).includes(`${easy.url}/v1`));
  }
  await close(page);
});

test('a key is asked for once and sent from then on', { skip }, async () => {
  const page = await open(easy.url);
  const sent = [];
  await page.route('**/api/zoo', (route) => {
    sent.push(route.request().headers().authorization);
    if (sent.at(-1)) return route.continue();
    return route.fulfill({ status: 401, contentType: 'application/json', body: '{"error":{"message":"a key is needed"}}' });
  });
  await tab(page, 'Zoo').click();
  await page.getByLabel('Key', { exact: true }).fill('abc');
  // Not the list alone: it may be there from before the key was asked for.
  const answered = page.waitForResponse(
    (response) => response.url().endsWith('/api/zoo') && response.status() === 200);
  await page.keyboard.press('Enter');
  await answered;
  await page.locator('.variants li').first().waitFor();
  assert.deepEqual(sent, [undefined, 'Bearer abc']);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await close(page);
});

test('a chat of 2,000 messages stays quick', { skip }, async () => {
  const page = await open(easy.url);
  // As stopped answers they are shown and not sent, so that the model's context does not matter.
  await page.evaluate(() => sessionStorage.setItem('agentcompress.chat', JSON.stringify(
    Array.from({ length: 1000 }, (_, i) => ({
      question: `Question ${i}`,
      answers: [{ model: 'auto', text: `Answer **${i}**\n\n- one\n- two`, receipt: null, error: '', stopped: true }],
    })))));
  await page.reload();
  await page.locator('.turn').nth(999).waitFor();
  const began = Date.now();
  await page.getByLabel('Prompt', { exact: true }).pressSequentially('Once upon a time');
  await page.keyboard.press('Enter');
  await badge(page);
  assert.ok(Date.now() - began < 10000, `${Date.now() - began} ms`);
  assert.ok(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight - scrollY) < 200);
  await close(page);
});

for (const colorScheme of ['light', 'dark']) {
  test(`no serious fault of accessibility, ${colorScheme}`, { skip }, async () => {
    const page = await open(easy.url, { colorScheme });
    await ask(page, 'Once upon a time');
    await badge(page);
    await press(page, 'Why?');
    for (const name of kTabs) {
      await tab(page, name).click();
      await page.waitForLoadState('networkidle');
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      assert.deepEqual(serious.map(({ id, nodes }) => [name, id, nodes.map((node) => node.html)]), []);
    }
    await close(page);
  });
}

test('380 pixels are enough', { skip }, async () => {
  const page = await open(easy.url, { viewport: { width: 380, height: 760 } });
  await ask(page, `Once upon a time ${'x'.repeat(120)}`);
  await badge(page);
  await press(page, 'Why?');
  for (const name of kTabs) {
    await tab(page, name).click();
    await page.waitForLoadState('networkidle');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 380, name);
  }
  await close(page);
});

const pictures = process.env.AC_SCREENSHOTS;
test('pictures', { skip: skip || (!pictures && 'AC_SCREENSHOTS is not set') }, async () => {
  fs.mkdirSync(pictures, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1200, 380]) {
      const page = await open(easy.url, { colorScheme, viewport: { width, height: 860 } });
      await ask(page, 'Once upon a time');
      await badge(page);
      for (const name of kTabs) {
        await tab(page, name).click();
        await page.waitForLoadState('networkidle');
        await page.screenshot({ path: path.join(pictures, `${name.toLowerCase()}-${colorScheme}-${width}.png`), fullPage: name !== 'Chat' });
      }
      await close(page);
    }
  }
});

// The last one: the server does not survive it.
test('a server that dies in mid-answer is an error on that answer', { skip }, async () => {
  const page = await open(strict.url);
  await ask(page, 'Go on and on');
  await page.getByText(/word3/).waitFor();
  strict.kill();
  await page.getByText(/^Interrupted: The connection to the server was lost/).waitFor();
  assert.match(await page.locator('.answer .md').textContent(), /^word0 word1/);
  await page.getByText('the server cannot be reached').waitFor();
  await page.getByRole('button', { name: 'Try again' }).waitFor();
  await close(page);
});
