import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { suite, test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { checkPrivateSurface, missingOfContext, missingPieces } from './server-socket.ts';

suite("What Node doesn't document", () => {
  test('is all there in this release', () => {
    checkPrivateSurface();
  });

  const complete = {
    secureConnecting: true,
    _releaseControl() {},
    _tlsError() {},
    _tlsOptions: {},
    _wrapHandle() {},
    _handle: { verifyError() {}, setOCSPResponse() {}, receive() {} },
  };
  const without: Record<string, object> = {
    secureConnecting: { ...complete, secureConnecting: undefined },
    _releaseControl: { ...complete, _releaseControl: undefined },
    _tlsError: { ...complete, _tlsError: undefined },
    _tlsOptions: { ...complete, _tlsOptions: undefined },
    _wrapHandle: { ...complete, _wrapHandle: undefined },
    '_handle.verifyError': { ...complete, _handle: { ...complete._handle, verifyError: undefined } },
    '_handle.setOCSPResponse': { ...complete, _handle: { ...complete._handle, setOCSPResponse: undefined } },
    '_handle.receive': { ...complete, _handle: { ...complete._handle, receive: undefined } },
  };
  for (const [piece, socket] of Object.entries(without)) {
    test(`is missed by name: ${piece}`, () => {
      assert.deepEqual(missingPieces(complete), []);
      assert.deepEqual(missingPieces(socket), [piece]);
    });
  }

  test('is missed by name: what ticket keys are set by', () => {
    const context = { enableTicketKeyCallback() {}, setTicketKeys() {} };
    assert.deepEqual(missingOfContext(context), []);
    assert.deepEqual(missingOfContext({ enableTicketKeyCallback() {} }), [
      'secureContext.context.setTicketKeys',
    ]);
    assert.deepEqual(missingOfContext({ setTicketKeys() {} }), [
      'secureContext.context.enableTicketKeyCallback',
    ]);
  });

  test('is missed in a release without any of it', (t) => {
    const prototype = TLSSocket.prototype as unknown as { _releaseControl: () => boolean };
    t.mock.method(prototype, '_releaseControl');
    Object.defineProperty(prototype, '_releaseControl', {
      value: undefined,
      configurable: true,
      writable: true,
    });
    assert.throws(() => checkPrivateSurface(), {
      code: 'tls-private-surface',
      message: new RegExp(`Node ${process.versions.node.replaceAll('.', '\\.')}: .*_releaseControl`),
    });
  });

  test('holds: an error before control is released is _tlsError and no error event', async () => {
    const pipe = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const socket = new TLSSocket(pipe, { isServer: true, secureContext: createSecureContext() });
    const error = new Promise((resolve) => socket.once('_tlsError', resolve));
    pipe.push(Buffer.from('this is no TLS at all'));
    assert.match(String(await error), /wrong version number|unsupported protocol|http request|SSL/i);
    socket.destroy();
  });
});
