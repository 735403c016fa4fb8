// Drives one browser for a test. The test speaks JSON lines with it: on standard input
// {"method": …, "params": {…}}, one at a time, and on standard output {"result": …} or {"error": "…"}.
// It ends when standard input does; the browser does too, since both live in a process namespace of which
// this is the first. What the page logs goes to standard error.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import puppeteer from 'puppeteer-core';

const launchOptions = {
  chromium: {
    browser: 'chrome',
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
      // The permission for media also makes it give its addresses instead of mDNS names.
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      // For the sockets of WebRTC, too.
      '--ignore-certificate-errors',
    ],
  },
  firefox: {
    browser: 'firefox',
    executablePath: '/usr/bin/firefox-esr',
    extraPrefsFirefox: {
      'media.navigator.permission.disabled': true,
      'media.navigator.streams.fake': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.autoplay.default': 0,
      // The H.264 plug-in is a download.
      'media.gmp-manager.updateEnabled': false,
      'media.gmp-gmpopenh264.autoupdate': false,
      'app.update.enabled': false,
      'app.update.auto': false,
      'datareporting.policy.dataSubmissionEnabled': false,
      'toolkit.telemetry.enabled': false,
      'services.settings.server': 'data:,',
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
    },
  },
};

// A secure context, which about:blank is not, for getUserMedia.
const server = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end('<!doctype html><title>Kaon</title><body></body>');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

let browser;
let page;

const methods = {
  async start({ kind }) {
    // Servers of tests prove themselves to nobody.
    browser = await puppeteer.launch({ headless: true, acceptInsecureCerts: true, ...launchOptions[kind] });
    [page] = await browser.pages();
    page.on('console', (message) => console.error(`${kind}: ${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => console.error(`${kind}: ${error.stack ?? error}`));
    await methods.open({});
    return browser.version();
  },

  async open({ url }) {
    await page.goto(url ?? `http://127.0.0.1:${server.address().port}/`);
  },

  // The body of an async function of one argument, `args`.
  async eval({ script, args }) {
    const outcome = await page.evaluate(async (script, args) => {
      const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
      try {
        const result = await new AsyncFunction('args', script)(JSON.parse(args));
        return JSON.stringify({ result: result ?? null });
      } catch (error) {
        return JSON.stringify({ error: `${error}\n${error?.stack ?? ''}` });
      }
    }, script, JSON.stringify(args));
    const { result, error } = JSON.parse(outcome);
    if (error !== undefined) throw new Error(error);
    return result;
  },

  async resize({ width, height }) {
    await page.setViewport({ width, height });
  },

  // A key of a real keyboard, by its name in the W3C's UI Events: 'Tab', 'f'.
  async press({ key }) {
    await page.keyboard.press(key);
  },

  async screenshot({ path }) {
    await page.screenshot({ path });
  },
};

// Even while a call is under way.
process.stdin.on('end', () => process.exit());

for await (const line of createInterface({ input: process.stdin })) {
  const { method, params } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await methods[method](params)) ?? null };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
