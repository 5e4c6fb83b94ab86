/** The certificate request, with must-staple as long as the CA has nothing against it. */
import type { KeyObject } from 'node:crypto';
import type { Order } from '../../acme/client.ts';
import type { AcmeError } from '../../acme/errors.ts';
import { pollOrder } from '../../acme/poll.ts';
import { createCsr } from '../../pki/csr.ts';
import type { Run } from './run.ts';
import { isRefusal } from './staged-order.ts';

/** Asks for the certificate of an order that is ready. The same order is finalized without must-staple if need be. */
export async function finalize(run: Run, order: Order, key: KeyObject): Promise<Order> {
  const { domain, options } = run;
  const request = async (mustStaple: boolean) =>
    submit(run, order, await createCsr({ key, names: domain.domains, mustStaple }));
  if (!run.mustStaple) return request(false);
  try {
    return await request(true);
  } catch (error) {
    if (!mayBeStaple(error)) throw error;
    run.mustStaple = false;
    options.progress({
      step: 'finalize',
      detail: `The CA refuses must-staple (MDMustStaple), the certificate is ordered without: ${error.message}`,
    });
    return request(false);
  }
}

/** A CA may take a moment from the last authorization to the order. */
async function submit(run: Run, order: Order, csr: Uint8Array): Promise<Order> {
  const { client, account, clock, options } = run;
  try {
    return await client.finalize(account, order, csr, options);
  } catch (error) {
    if (!isRefusal(error) || error.problem?.type !== NOT_READY) throw error;
    const until = ({ status }: Order) => status !== 'pending';
    const later = await pollOrder(client, account, order.url, { until, clock, signal: options.signal });
    return later.status === 'ready' ? client.finalize(account, order, csr, options) : later;
  }
}

const NOT_READY = 'urn:ietf:params:acme:error:orderNotReady';

const OF_REQUESTS = /^urn:ietf:params:acme:error:(?:badCSR|unauthorized|malformed|rejectedIdentifier)$/;

/** Let's Encrypt says `unauthorized`, others `badCSR`: without must-staple the same request shows who is right. */
function mayBeStaple(error: unknown): error is AcmeError {
  if (!isRefusal(error)) return false;
  const { type = '', detail = '' } = error.problem ?? {};
  return OF_REQUESTS.test(type) || /staple|ocsp|tls.?feature/i.test(detail);
}
