/** The certificate request, with must-staple as long as the CA has nothing against it. */
import type { KeyObject } from 'node:crypto';
import type { Order } from '../../acme/client.ts';
import type { AcmeError } from '../../acme/errors.ts';
import { createCsr } from '../../pki/csr.ts';
import type { Run } from './run.ts';
import { isRefusal } from './staged-order.ts';

/** Asks for the certificate of an order that is ready. The same order is finalized without must-staple if need be. */
export async function finalize(run: Run, order: Order, key: KeyObject): Promise<Order> {
  const { client, account, domain, options } = run;
  const request = async (mustStaple: boolean) => {
    const csr = await createCsr({ key, names: domain.domains, mustStaple });
    return client.finalize(account, order, csr, options);
  };
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

const OF_REQUESTS = /^urn:ietf:params:acme:error:(?:badCSR|unauthorized|malformed|rejectedIdentifier)$/;

/** Let's Encrypt says `unauthorized`, others `badCSR`: without must-staple the same request shows who is right. */
function mayBeStaple(error: unknown): error is AcmeError {
  if (!isRefusal(error)) return false;
  const { type = '', detail = '' } = error.problem ?? {};
  return OF_REQUESTS.test(type) || /staple|ocsp|tls.?feature/i.test(detail);
}
