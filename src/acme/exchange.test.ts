import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MockAgent, type Dispatcher } from 'undici';
import { Exchange } from './exchange.ts';

test('an exchange that was given up while it waited for a connection is not begun any more', async (t) => {
  const agent = new MockAgent();
  t.after(() => agent.close());
  let handler: Dispatcher.DispatchHandler | undefined;
  agent.dispatch = (_options, waiting) => {
    handler = waiting;
    return true;
  };
  const reason = new Error('too late');
  const received = Exchange.perform(
    agent,
    { origin: 'https://ca.example', path: '/', method: 'GET' },
    (one) => one.end(reason),
  );
  await assert.rejects(received, reason);
  const aborted: (Error | null | undefined)[] = [];
  const controller = { abort: (why: Error) => aborted.push(why) };
  handler?.onRequestStart?.(Object.assign(Object.create(null), controller), undefined);
  assert.deepEqual(aborted, [reason]);
});
