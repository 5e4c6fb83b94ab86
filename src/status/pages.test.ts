/** The pages as a person meets them: in Chromium, at several widths, light and dark, by keyboard, without JavaScript. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import {
  backgroundOfPage,
  launchChromium,
  outlineOf,
  overflow,
  poorContrasts,
  servePages,
  withoutChromium,
} from './browser.testing.ts';
import type { DomainInService } from './document.ts';
import { certificate, DAY, domain, NOW, staple } from './status.testing.ts';

const problem = {
  type: 'urn:ietf:params:acme:error:compound',
  detail: 'Errors during validation',
  subproblems: [
    {
      type: 'urn:ietf:params:acme:error:connection',
      identifier: 'www.failing.test',
      detail: 'Fetching http://www.failing.test/.well-known/acme-challenge/x: Connection refused',
    },
  ],
};

const failing = domain({
  name: 'failing.test',
  names: ['failing.test', 'www.failing.test'],
  state: 'incomplete',
  description: 'there is no certificate for the P-256 key',
  certificates: [],
  renewAt: NOW,
  reasons: ['there is no certificate for the P-256 key'],
  nextRun: NOW + 90_000,
  errors: 3,
  problem,
  authority: 'https://ca.example/dir',
  log: [
    { when: NOW - 1000, type: 'renewal-error', detail: problem.detail, status: problem.type },
    { when: NOW - 9000, type: 'starting', detail: 'there is no certificate' },
    { when: NOW - 99_000, type: 'renewal-error', detail: 'an earlier one' },
  ],
});

const long = domain({
  name: `${'a-rather-long-name.'.repeat(6)}test`,
  names: Array.from({ length: 40 }, (_, index) => `name-${index}.of-a-certificate-with-many.test`),
  certificates: [certificate({ sha256: 'ab'.repeat(32), issuerName: `/O=${'x'.repeat(300)}/CN=CA` })],
});

const hostile = domain({
  name: '<script>alert(1)</script>.test',
  names: ['"><img src=x onerror=alert(2)>'],
  authority: 'javascript:alert(3)',
  problem: { type: '</code><script>alert(4)</script>', detail: '<svg onload=alert(5)>' },
  certificates: [certificate({ issuerName: `/CN='"><script>alert(6)</script>` })],
});

const expired = domain({
  name: 'expired.test',
  expired: true,
  certificates: [certificate({ notBefore: NOW - 91 * DAY, notAfter: NOW - DAY })],
});

/** So many that they need several pages. */
const many = Array.from({ length: 230 }, (_, index) =>
  domain({
    name: `m${String(index).padStart(4, '0')}.test`,
    certificates: [certificate({ notAfter: NOW + ((index * 37) % 230) * DAY })],
  }),
);

const staples = [
  staple(),
  staple({ domain: 'expired.test', status: 'revoked', warning: 'The certificate has been revoked' }),
  staple({
    domain: 'other',
    names: ['<script>alert(8)</script>'],
    responder: 'javascript:alert(9)',
    stapled: false,
  }),
];

let browser: Promise<Browser> | undefined;
after(async () => (await browser)?.close());

/** Opens the overview of `domains`; what the browser complains of is a failure at the end. */
async function visit(
  domains: readonly DomainInService[],
  options: BrowserContextOptions,
  look: (page: Page, url: string) => Promise<void>,
): Promise<void> {
  browser ??= launchChromium();
  await using pages = await servePages(domains, staples);
  const context = await (await browser).newContext(options);
  try {
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('dialog', (dialog) => {
      complaints.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(pages.url);
    await look(page, pages.url);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

suite('the status pages in a browser', { skip: withoutChromium }, () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [320, 1280]) {
      test(`fit ${width} pixels and can be read, ${colorScheme}`, async () => {
        const options = { colorScheme, viewport: { width, height: 800 } };
        const all = [domain(), expired, failing, long];
        await visit(all, options, async (page, url) => {
          for (const at of ['', `/${failing.name}`, `/${long.name}`, `/${expired.name}`]) {
            await page.goto(url + at);
            assert.equal(await page.evaluate(overflow), 0, at);
            assert.deepEqual(await page.evaluate(poorContrasts), [], at);
          }
          assert.match(await page.innerText('main'), /OCSP stapling[^]*The certificate has been revoked/);
          const body = await page.evaluate(backgroundOfPage);
          assert.equal(body, colorScheme === 'light' ? 'rgb(247, 247, 245)' : 'rgb(22, 24, 27)');
        });
      });
    }
  }

  test('sort, page and find without JavaScript', async () => {
    await visit(many, { javaScriptEnabled: false }, async (page) => {
      const names = () => page.locator('.md_status tbody tr td:first-child').allInnerTexts();
      assert.equal((await names()).length, 100);
      await page.getByRole('link', { name: 'Valid' }).click();
      assert.equal((await names())[0], 'm0000.test');
      await page.getByRole('link', { name: /^Valid/ }).click();
      const expected = many.toSorted((a, b) => last(b) - last(a)).map(({ name }) => name);
      assert.deepEqual(await names(), expected.slice(0, 100));
      assert.equal(await page.locator('th[aria-sort="descending"]').innerText(), 'Valid ↓');
      await page.getByRole('link', { name: 'Next →' }).click();
      await page.getByRole('link', { name: 'Next →' }).click();
      assert.deepEqual(await names(), expected.slice(200));
      await page.getByRole('searchbox').fill('M0117');
      await page.getByRole('button', { name: 'Find' }).click();
      assert.deepEqual(await names(), ['m0117.test']);
      await page.getByRole('link', { name: 'm0117.test' }).click();
      assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'm0117.test');
      assert.match(
        (await page.getByRole('img').getAttribute('aria-label')) ?? '',
        /^valid .* to be renewed /,
      );
      await page.getByRole('link', { name: 'All domains' }).click();
      assert.equal((await names()).length, 100);
    });
  });

  test('say of a failure what the CA says, what to do, and what happens next', async () => {
    await visit([domain(), failing], {}, async (page) => {
      await page.getByRole('link', { name: /failing$/ }).click();
      assert.equal(await page.locator('.md_status tbody tr').count(), 1);
      await page.getByRole('link', { name: 'failing.test', exact: true }).click();
      const text = await page.locator('main').innerText();
      assert.match(text, /tries again in 1 min 30 s/);
      assert.match(text, /Failed 3 times in a row; next try in 1 min 30 s/);
      assert.match(text, /www\.failing\.test: Fetching http:.*Connection refused/);
      assert.match(text, /urn:ietf:params:acme:error:connection/);
      assert.match(text, /What to do: The CA could not connect: the name has to lead here/);
      assert.doesNotMatch(text, /an earlier one/);
      await page.getByText('Earlier runs (1 entries)').click();
      assert.match(await page.locator('main').innerText(), /an earlier one/);
    });
  });

  test('say what is put off, until when and why, with the way to end a pause', async () => {
    const reason = 'Paused. Allow it again at https://ca.example/sfe/v1/unpause?jwt=a.b. Then wait.';
    const paused = domain({
      name: 'paused.test',
      certificates: [],
      state: 'incomplete',
      nextRun: NOW + 7_200_000,
      hold: { until: NOW + 7_200_000, reason },
    });
    await visit([domain(), paused], {}, async (page) => {
      await page.getByRole('link', { name: /put off$/ }).click();
      const row = page.locator('.md_status tbody tr');
      assert.equal(await row.count(), 1);
      assert.match(await row.innerText(), /waiting[^]*Paused\.[^]*put off for 2 h/);
      await page.getByRole('link', { name: 'paused.test', exact: true }).click();
      const link = page.getByRole('link', { name: /unpause/ });
      assert.equal(await link.getAttribute('href'), 'https://ca.example/sfe/v1/unpause?jwt=a.b');
    });
  });

  test('draw a certificate’s life, with the window of its CA wherever that lies', async () => {
    const year = 365 * DAY;
    const ari = (start: number, end: number) => {
      const window = { start, end };
      const explanationUrl = 'https://ca.example/why';
      return domain({ certificates: [certificate({ ari: { window, renewAt: start, explanationUrl } })] });
    };
    for (const one of [ari(NOW + 50 * DAY, NOW + 60 * DAY), ari(NOW - 900 * year, NOW + 900 * year)]) {
      await visit([one], { javaScriptEnabled: false }, async (page, url) => {
        await page.goto(`${url}/a.test`);
        const width = async (selector: string) => {
          const box = await page.locator(`svg[role=img] ${selector}`).boundingBox();
          return box?.width ?? 0;
        };
        const [life, renew, window] = [await width('.life'), await width('.renew'), await width('.ari')];
        assert.ok(life > 300 && renew > 90 && window > 90, `${life} ${renew} ${window}`);
        assert.ok(renew < life);
        assert.match(await page.locator('.legend').innerText(), /the CA wants it renewed: /);
        assert.equal(await page.getByRole('link', { name: 'https://ca.example/why' }).count(), 1);
      });
    }
  });

  test('can be used by keyboard, the focus being seen', async () => {
    await visit([domain(), failing], {}, async (page) => {
      const reached: string[] = [];
      for (let presses = 0; presses < 30; presses++) {
        await page.keyboard.press('Tab');
        const focused = page.locator(':focus');
        if ((await focused.count()) === 0) break;
        reached.push((await focused.innerText()) || ((await focused.getAttribute('aria-label')) ?? ''));
        const outline = await focused.evaluate(outlineOf);
        assert.equal(outline, '3px', reached.at(-1));
      }
      for (const goal of ['Part of a name', 'Find', 'Valid', 'a.test', 'failing.test', 'crt.sh[p-256]']) {
        assert.ok(reached.includes(goal), `${goal} among ${reached.join(', ')}`);
      }
    });
  });

  test('show hostile text as text', async () => {
    await visit([hostile], {}, async (page, url) => {
      assert.equal(await page.locator('script, img').count(), 0);
      assert.match(await page.locator('main').innerText(), /<script>alert\(1\)<\/script>\.test/);
      await page.goto(`${url}/${encodeURIComponent(hostile.name)}`);
      assert.match(await page.locator('main').innerText(), /<svg onload=alert\(5\)>/);
      assert.equal(await page.locator('script, img, a[href^="javascript"]').count(), 0);
      await page.goto(
        `${url}?search=${encodeURIComponent('"><script>alert(7)</script>')}&sort=x&page=-1&show=y`,
      );
      assert.equal(await page.locator('script').count(), 0);
    });
  });
});

function last({ certificates: [one] }: DomainInService): number {
  return one?.notAfter ?? 0;
}
